//! Making a story that goes wrong shorter: leave steps out for as long as it breaks the same promise.

use super::story::{Act, Part, Shape, Step, Story, Wrong};
use super::{Found, Simulation};

/// How many stories are played for it at most.
const MOST: usize = 600;

/// Drops chunks of steps, from half of them down to single ones, then makes what is left plainer.
pub(super) fn shrink(simulation: &Simulation, found: &Found) -> Box<Found> {
    let mut shrinking = Shrinking { simulation, best: Box::new(found.clone()), left: MOST };
    while shrinking.chunks() | shrinking.plainer() {}
    shrinking.best
}

struct Shrinking<'a> {
    simulation: &'a Simulation,
    best: Box<Found>,
    left: usize,
}

impl Shrinking<'_> {
    /// Takes `story` if it breaks the same promise.
    fn take(&mut self, story: &Story) -> bool {
        if self.left == 0 || *story == self.best.story {
            return false;
        }
        self.left -= 1;
        match self.simulation.play(story) {
            Err(found) if found.violation.promise == self.best.violation.promise => {
                self.best = found;
                true
            }
            _ => false,
        }
    }

    fn chunks(&mut self) -> bool {
        let mut shrunk = false;
        let mut size = self.best.story.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.best.story.steps.len() {
                let mut story = self.best.story.clone();
                let end = (at + size).min(story.steps.len());
                story.steps.drain(at..end);
                if self.take(&story) {
                    shrunk = true;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        shrunk
    }

    /// No roles, plain modules, no pauses: one thing after the other.
    fn plainer(&mut self) -> bool {
        let mut shrunk = false;
        let mut without = self.best.story.clone();
        without.roles.clear();
        shrunk |= self.take(&without);
        for at in 0..self.best.story.parts.len() {
            let mut plain = self.best.story.clone();
            let form = plain.parts[at].shape.form;
            plain.parts[at] = Part { shape: Shape { form, slow: 50, ..Shape::default() }, ..Part::default() };
            shrunk |= self.take(&plain);
        }
        for at in 0..self.best.story.steps.len() {
            for change in [no_pause, plain_shape] {
                let mut plainer = self.best.story.clone();
                change(&mut plainer.steps[at]);
                shrunk |= self.take(&plainer);
            }
        }
        shrunk
    }
}

fn no_pause(step: &mut Step) {
    step.then = 0;
}

fn plain_shape(step: &mut Step) {
    if let Act::Write(_, shape) = &mut step.act
        && shape.wrong == Wrong::Nothing
    {
        *shape = Shape { form: shape.form, slow: 50, ..Shape::default() };
    }
}
