//! The sources as a person sees them: what each says now, what it said before, and when that changed.

use std::collections::BTreeMap;

use super::story::*;

/// What a source says.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) shape: Shape,
    pub(super) tag: String,
}

/// The sources of one story.
pub(super) struct Desk {
    pub(super) now: Vec<Option<Text>>,
    before: Vec<Vec<Text>>,
    pub(super) roles: Vec<(RoleShape, String)>,
    /// Every version there ever was, by its tag.
    pub(super) shapes: BTreeMap<String, Shape>,
    pub(super) role_shapes: BTreeMap<String, RoleShape>,
    written: u64,
    /// Each change: which module, and its tag from then on.
    log: Vec<(String, Option<String>)>,
}

impl Desk {
    pub(super) fn new(story: &Story) -> Self {
        let mut desk = Self {
            now: vec![None; MODULES],
            before: vec![Vec::new(); MODULES],
            roles: Vec::new(),
            shapes: BTreeMap::new(),
            role_shapes: BTreeMap::new(),
            written: 0,
            log: Vec::new(),
        };
        (0..PRESENT).for_each(|at| desk.write(at, story.parts[at].shape.clone()));
        story.roles.iter().enumerate().for_each(|(at, shape)| desk.write_role(at, shape.clone()));
        desk
    }

    pub(super) fn write(&mut self, at: usize, shape: Shape) {
        self.written += 1;
        let tag = format!("m{at}v{}", self.written);
        self.shapes.insert(tag.clone(), shape.clone());
        self.put(at, Some(Text { shape, tag }));
    }

    pub(super) fn mend(&mut self, at: usize) {
        let there = |required: &usize| self.now[*required].is_some();
        let Some(text) = &self.now[at] else { return };
        let requires = text.shape.requires.iter().copied().filter(there).collect();
        let shape = Shape { wrong: Wrong::Nothing, requires, ..text.shape.clone() };
        self.write(at, shape);
    }

    pub(super) fn revert(&mut self, at: usize) {
        if let Some(text) = self.before[at].pop() {
            self.log.push((name(at), Some(text.tag.clone())));
            self.now[at] = Some(text);
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.put(at, None);
    }

    fn put(&mut self, at: usize, text: Option<Text>) {
        self.log.push((name(at), text.as_ref().map(|text| text.tag.clone())));
        self.before[at].extend(std::mem::replace(&mut self.now[at], text));
    }

    pub(super) fn write_role(&mut self, at: usize, shape: RoleShape) {
        self.written += 1;
        let tag = format!("r{at}v{}", self.written);
        self.role_shapes.insert(tag.clone(), shape.clone());
        self.log.push((role_name(at), Some(tag.clone())));
        let now = (shape, tag);
        match self.roles.get_mut(at) {
            Some(slot) => *slot = now,
            None => self.roles.push(now),
        }
    }

    /// The tags of every source that is there.
    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let modules =
            self.now.iter().enumerate().filter_map(|(at, text)| Some((name(at), text.as_ref()?.tag.clone())));
        let roles = self.roles.iter().enumerate().map(|(at, (_, tag))| (role_name(at), tag.clone()));
        modules.chain(roles).collect()
    }

    /// Now, as a moment of the past to be.
    pub(super) fn moment(&self) -> usize {
        self.log.len()
    }

    /// What a module's source has said at some time since `moment`.
    pub(super) fn since(&self, module: &str, moment: usize) -> Vec<Option<String>> {
        let of = |entries: &[(String, Option<String>)]| -> Vec<Option<String>> {
            entries.iter().filter(|(name, _)| name == module).map(|(_, tag)| tag.clone()).collect()
        };
        let mut all = vec![of(&self.log[..moment]).pop().flatten()];
        all.extend(of(&self.log[moment..]));
        all
    }

    /// The modules whose sources changed since `moment`.
    pub(super) fn changed(&self, moment: usize) -> Vec<String> {
        self.log[moment..].iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether every source is right, and everything that is required is there.
    pub(super) fn is_good(&self) -> bool {
        let fits = |text: &Text| {
            text.shape.wrong == Wrong::Nothing && text.shape.requires.iter().all(|at| self.now[*at].is_some())
        };
        self.now.iter().flatten().all(fits)
            && self.roles.iter().all(|(shape, _)| shape.wrong == RoleWrong::Nothing)
    }
}
