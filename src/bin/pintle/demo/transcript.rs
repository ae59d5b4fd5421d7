//! How the demo reads: a clock, a heading, lines, and marks that stand out on a terminal.

use std::io::IsTerminal;

/// Writes the story to standard output.
pub struct Transcript {
    colour: bool,
    checked: u32,
    failed: u32,
}

impl Transcript {
    /// Colours only where a person looks, and not where `NO_COLOR` is set.
    pub fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            colour,
            checked: 0,
            failed: 0,
        }
    }

    /// A new part of the day.
    pub fn part(&self, clock: &str, title: &str) {
        println!("\n{}  {}", self.paint("1", clock), self.paint("1", title));
    }

    /// A line under a part.
    pub fn line(&self, who: &str, text: &str) {
        println!("       {who:<10} {text}");
    }

    /// A value on a line of its own.
    pub fn value(&self, text: &str) {
        println!("                    {}", self.paint("2", text));
    }

    /// What was checked, and what came of it.
    pub fn verdict(&mut self, ok: bool, by: &str, detail: &str) {
        self.checked += 1;
        self.mark(ok, &format!("{by}: {detail}"));
    }

    /// Something that had to be so, with no one else to ask.
    pub fn mark(&mut self, ok: bool, detail: &str) {
        let mark = if ok {
            self.paint("32", "✓")
        } else {
            self.failed += 1;
            self.paint("31;1", "✗ WRONG")
        };
        println!("                    {mark} {detail}");
    }

    /// (outputs checked outside, things that were wrong)
    pub fn counts(&self) -> (u32, u32) {
        (self.checked, self.failed)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
