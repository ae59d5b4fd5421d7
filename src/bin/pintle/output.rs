//! Tables for people, JSON for machines. Data goes to standard output, notes to standard error.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How a command answers.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table people can read.
    Table,
    /// JSON for machines.
    Json,
}

/// Prints rows as a table under `head`, or as the JSON of `data`.
pub fn print<T: Serialize>(output: Output, data: &T, head: &[&str], rows: Vec<Vec<String>>) {
    match output {
        Output::Json => print_json(data),
        Output::Table => println!("{}", table(head, rows)),
    }
}

/// Prints one JSON document.
pub fn print_json<T: Serialize>(data: &T) {
    match serde_json::to_string_pretty(data) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("pintle: this answer has no JSON form: {error}"),
    }
}

/// A plain table with a ruled head.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(head.to_vec());
    table.add_rows(rows);
    table.to_string()
}
