//! What was measured, in the order in which it was.

use std::fmt;
use std::time::Duration;

/// Names and values.
#[derive(Default)]
pub struct Figures(Vec<(String, String)>);

impl Figures {
    /// Notes one.
    pub fn note(&mut self, name: &str, value: impl fmt::Display) {
        println!("  {name}: {value}");
        self.0.push((name.to_owned(), value.to_string()));
    }

    /// Notes the worst of several times.
    pub fn worst(&mut self, name: &str, times: &[Duration]) {
        let worst = times.iter().max().copied().unwrap_or_default();
        self.note(name, format!("{} ms", worst.as_millis()));
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "; " } else { "" };
            write!(f, "{comma}{name} {value}")?;
        }
        Ok(())
    }
}
