//! `pintle keys usages`: the usage table, as a table.

use pintle::keys::policy::{Row, TABLE};
use serde_json::json;

use crate::output::{Output, print};

/// The table that every key is asked against. What is in no row is refused.
pub fn show(output: Output) {
    let words = |list: &[String]| list.join(" ");
    let row = |row: &Row| {
        [
            String::from_utf8_lossy(&row.usage.code()).into_owned(),
            row.usage.to_string(),
            char::from(row.mode.code()).to_string(),
            row.mode.to_string(),
            row.side.map(|side| side.to_string()).unwrap_or_default(),
            words(
                &row.algorithms
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            ),
            row.operations
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        ]
    };
    let rows: Vec<_> = TABLE.iter().map(row).collect();
    let documents: Vec<_> = rows
        .iter()
        .map(
            |[
                usage,
                usage_word,
                mode,
                mode_word,
                side,
                algorithms,
                operations,
            ]| {
                json!({
                    "usage": usage, "usage_word": usage_word, "mode": mode, "mode_word": mode_word,
                    "side": side, "algorithms": algorithms, "operations": operations,
                })
            },
        )
        .collect();
    let rows = rows
        .iter()
        .map(
            |[
                usage,
                usage_word,
                mode,
                mode_word,
                side,
                algorithms,
                operations,
            ]| {
                vec![
                    format!("{usage} {usage_word}"),
                    format!("{mode} {mode_word}"),
                    side.clone(),
                    algorithms.clone(),
                    operations.clone(),
                ]
            },
        )
        .collect();
    print(
        output,
        &documents,
        &["usage", "mode", "side", "algorithms", "may"],
        rows,
    );
}
