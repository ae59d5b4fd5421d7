//! What the catalogue must hold: everything acknowledged, and of the one change that was under way
//! all or nothing.

use std::collections::BTreeMap;

use crate::act::Act;
use crate::life::Life;

/// Each key version, and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model(pub BTreeMap<(String, u32), String>);

impl Model {
    /// Compares what a process found at its start with what was to be there, and goes on from it.
    /// Answers whether the change that was under way is there, where that shows.
    pub fn meet(&mut self, under_way: Option<&Act>, found: Self) -> Result<Option<bool>, String> {
        let mut after = self.clone();
        if let Some(act) = under_way {
            after.follow(act);
        }
        if found != *self && found != after {
            return Err(format!(
                "{}\nunder way: {under_way:?}",
                self.difference(&after, &found)
            ));
        }
        let shows = (after != *self).then_some(found == after);
        *self = found;
        Ok(shows)
    }

    /// Everything that a life acknowledged.
    pub fn follow_all(&mut self, life: &Life) {
        life.done.iter().for_each(|act| self.follow(act));
    }

    fn follow(&mut self, act: &Act) {
        let mut put = |name: &str, version, state: &str| {
            self.0.insert((name.to_owned(), version), state.to_owned());
        };
        match act {
            Act::Create(_, name) | Act::Import(name) | Act::ImportRsa(name) => {
                put(name, 1, "active");
            }
            Act::ImportFile(names) => names.iter().for_each(|name| put(name, 1, "active")),
            Act::Rotate(name, version) => put(name, *version, "pending"),
            Act::SetState(name, version, to) => {
                if to == "active" {
                    self.retire(name);
                }
                self.0.insert((name.clone(), *version), to.clone());
            }
            Act::Destroy(name, version) => put(name, *version, "destroying"),
            Act::Restore(name, version) => put(name, *version, "disabled"),
            Act::End(name, version) => put(name, *version, "destroyed"),
            Act::Enroll | Act::Reseal | Act::NewStore(_) | Act::BackUp(_) => {}
        }
    }

    fn retire(&mut self, name: &str) {
        let versions = self.0.iter_mut().filter(|(key, _)| key.0 == name);
        for (_, state) in versions.filter(|(_, state)| *state == "active") {
            "retiring".clone_into(state);
        }
    }

    fn difference(&self, after: &Self, found: &Self) -> String {
        let mut lines = Vec::new();
        for (key, state) in &self.0 {
            let now = found.0.get(key);
            if now != Some(state) && now != after.0.get(key) {
                lines.push(format!(
                    "{key:?} was acknowledged as {state} and is {now:?}"
                ));
            }
        }
        for (key, state) in &found.0 {
            if !self.0.contains_key(key) && !after.0.contains_key(key) {
                lines.push(format!("{key:?} is {state} and was never asked for"));
            }
        }
        if lines.is_empty() {
            lines.push("half of the change that was under way is visible".to_owned());
        }
        lines.join("\n")
    }
}
