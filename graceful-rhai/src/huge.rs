//! Functions of Rhai that make a value of any size at once, with a bound.

use rhai::{Array, Blob, Dynamic, Engine, EvalAltResult, ImmutableString, Position};

use crate::failure::Thrown;
use crate::watch::Stop;

/// Puts them before Rhai's own, which know no bound of bytes.
pub(crate) fn register(engine: &mut Engine, most: usize) {
    engine.register_fn("blob", move |length: i64| blob(length, 0, most));
    engine.register_fn("blob", move |length: i64, byte: i64| blob(length, byte, most));
    engine.register_fn("pad", move |blob: &mut Blob, length: i64, byte: i64| {
        let length = bounded(length, 1, most)?.max(blob.len());
        blob.resize(length, byte as u8);
        Ok::<_, Box<EvalAltResult>>(())
    });
    engine.register_fn("pad", move |list: &mut Array, length: i64, item: Dynamic| {
        let length = bounded(length, size_of::<Dynamic>(), most)?.max(list.len());
        list.resize(length, item);
        Ok::<_, Box<EvalAltResult>>(())
    });
    engine.register_fn("pad", move |text: &mut ImmutableString, length: i64, letter: char| {
        pad(text, length, &letter.to_string(), most)
    });
    engine.register_fn("pad", move |text: &mut ImmutableString, length: i64, padding: &str| {
        pad(text, length, padding, most)
    });
}

fn blob(length: i64, byte: i64, most: usize) -> Thrown<Blob> {
    Ok(vec![byte as u8; bounded(length, 1, most)?])
}

fn pad(text: &mut ImmutableString, length: i64, padding: &str, most: usize) -> Thrown<()> {
    let missing = bounded(length, 1, most)?.saturating_sub(text.chars().count());
    if missing > 0 && !padding.is_empty() {
        let added: String = padding.chars().cycle().take(missing).collect();
        *text += added.as_str();
    }
    Ok(())
}

/// `length` things of `size` bytes each, if that is not too much.
fn bounded(length: i64, size: usize, most: usize) -> Thrown<usize> {
    let length = usize::try_from(length).unwrap_or(0);
    if length.saturating_mul(size) > most {
        let stop = Dynamic::from(Stop::Bulky(most));
        return Err(EvalAltResult::ErrorTerminated(stop, Position::NONE).into());
    }
    Ok(length)
}
