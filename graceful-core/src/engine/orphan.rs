//! An engine that nobody holds any more, and that nobody shut down.

use super::Inner;

/// What is owned or registered knows the code that it belongs to, and that knows its scope and the table: none of them would
/// ever go without this.
impl Drop for Inner {
    fn drop(&mut self) {
        self.world.table.clear();
        for instance in self.world.instances() {
            instance.scope.close().iter().for_each(|resource| resource.abandon());
        }
    }
}
