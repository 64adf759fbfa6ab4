//! A story in words.

use std::fmt;

use super::story::*;

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Write(at, shape) => write!(f, "write m{at}: {shape}"),
            Act::Mend(at) => write!(f, "mend m{at}"),
            Act::Revert(at) => write!(f, "bring back the text of m{at} before the last one"),
            Act::Remove(at) => write!(f, "take away the source of m{at}"),
            Act::Rename(from, to) => write!(f, "rename m{from} to m{to}"),
            Act::Unregister(at) => write!(f, "unregister m{at}"),
            Act::Call(at, function) => write!(f, "call {function:?} of m{at}"),
            Act::Reload(how) => write!(f, "reload{how}"),
            Act::Drop => f.write_str("drop the reload that runs"),
            Act::Fault(trouble, nth) => write!(f, "from now on the {nth}. {trouble:?} fails"),
            Act::WriteRole(at, shape) => {
                write!(f, "write r{at}: depends on {:?}, wrong: {:?}", shape.depends, shape.wrong)
            }
            Act::Cfg => f.write_str("register the roles"),
            Act::Apply(number, roles) => write!(f, "apply configuration {number} with roles {roles:?}"),
            Act::Forbid => f.write_str("forbid the reload of roles"),
            Act::Allow => f.write_str("allow the reload of roles"),
            Act::Shutdown => f.write_str("shut down"),
            Act::Nothing => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}, requires {:?}", self.form, self.requires)?;
        let said = [(self.before, "before_reload"), (self.after, "after_reload"), (self.drain, "drain")];
        said.iter().filter(|(has, _)| *has).try_for_each(|(_, what)| write!(f, ", {what}"))?;
        if self.protect != Protect::Auto {
            write!(f, ", checkpoint {:?}", self.protect)?;
        }
        if self.slow > 50 {
            write!(f, ", slow for {} ms", self.slow)?;
        }
        if self.wrong != Wrong::Nothing {
            write!(f, ", wrong: {:?}", self.wrong)?;
        }
        Ok(())
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = [
            (self.quiet, "when all is quiet"),
            (self.force, "force"),
            (self.cancel, "cancel calls"),
            (self.forgive, "forgive before_reload"),
            (self.check, "check only"),
            (self.told, "told what changed"),
            (self.roles, "roles"),
            (self.busy == 1, "join"),
            (self.busy == 2, "refuse if busy"),
        ];
        said.iter().filter(|(is, _)| *is).try_for_each(|(_, what)| write!(f, ", {what}"))
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        for (at, part) in self.parts.iter().enumerate().take(PRESENT) {
            let language = if part.other { " in the second language" } else { "" };
            let keeps = if part.keeps { ", keeps a task" } else { "" };
            let bare = if part.bare { ", unprotected" } else { "" };
            writeln!(f, "  m{at}{language}: {}{keeps}{bare}", part.shape)?;
        }
        for (at, role) in self.roles.iter().enumerate() {
            writeln!(f, "  role r{at}: depends on {:?}", role.depends)?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:4}. {}; then {} ms", at + 1, step.act, step.then)?;
        }
        Ok(())
    }
}
