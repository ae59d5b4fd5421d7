//! Progress bars, on standard error and only where somebody looks.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Counts up without knowing how far; nothing is drawn in the first half second.
pub fn counter(text: &'static str) -> ProgressBar {
    let bar = quiet(ProgressBar::no_length(), text);
    match ProgressStyle::with_template("{spinner} {msg}: {human_pos} ({per_sec})") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Counts up to `length`.
pub fn bar(text: &'static str, length: u64) -> ProgressBar {
    let bar = quiet(ProgressBar::new(length), text);
    match ProgressStyle::with_template("{msg} {bar:30} {human_pos}/{human_len} ({eta})") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn quiet(bar: ProgressBar, text: &'static str) -> ProgressBar {
    // Twice a second: the first drawing comes late enough that a short wait shows nothing.
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(2));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar.with_message(text)
}
