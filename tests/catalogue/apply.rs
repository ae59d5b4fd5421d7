//! `plan` and `apply`.

use pintle::keys::attributes::State;
use pintle::keys::error::Error;
use pintle::keys::provision::{self, Action};

use crate::desk::{Desk, dev_template, refusal, template, tenant};
use crate::place::Place;

const ONE: &str = r#"
[[key]]
name = "zak"
usage = "mac_cmac"
mode = "generate_and_verify"
algorithm = "AES-128"
mac = { scheme = "CMAC_AES", length = 8 }
"#;

pub fn twice_is_once(place: &Place) {
    let desk = Desk::set_up(place);
    let template = dev_template();
    let plan = desk.plan(&template).unwrap();
    assert_eq!(plan.steps.len(), template.keys().len());
    assert!(plan.steps.iter().all(|step| step.action == Action::Create));

    assert_eq!(desk.apply(&template).unwrap(), plan);
    let generation = desk.catalogue.stats().generation;
    assert_eq!(usize::try_from(generation).unwrap(), template.keys().len());
    let done = desk.apply(&template).unwrap();
    assert!(done.is_done());
    let matches = Action::Matches {
        version: 1,
        state: State::Active,
    };
    assert!(done.steps.iter().all(|step| step.action == matches));
    assert_eq!(
        desk.catalogue.stats().generation,
        generation,
        "nothing was written"
    );
    for spec in template.keys() {
        let open = desk.resolve(&desk.catalogue, spec.name.as_str()).unwrap();
        assert!(spec.differences(open.header()).is_empty());
    }
}

pub fn two_at_once_make_each_key_once(place: &Place) {
    let desk = Desk::set_up(place);
    let (other, tenant) = (desk.fresh(), tenant());
    let template = dev_template();
    let (one, two) = desk.runtime.block_on(async {
        tokio::join!(
            provision::apply(&desk.catalogue, &template, &tenant),
            provision::apply(&other, &template, &tenant),
        )
    });
    let made = [one.unwrap(), two.unwrap()].map(|plan| {
        plan.steps
            .iter()
            .filter(|step| step.action == Action::Create)
            .count()
    });
    assert!(
        made.contains(&template.keys().len()) && made.contains(&0),
        "{made:?}"
    );
    let rows: u32 = desk
        .file()
        .query_row("SELECT count(*) FROM key_record", [], |row| row.get(0))
        .unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), template.keys().len());
}

pub fn a_key_that_differs_stops_everything(place: &Place) {
    let desk = Desk::set_up(place);
    desk.apply(&template(ONE)).unwrap();
    let changed = template(&[ONE.replace("zak", "new"), ONE.replace("8 }", "16 }")].concat());
    let plan = desk.plan(&changed).unwrap();
    assert!(!plan.is_done());
    assert_eq!(plan.steps[0].action, Action::Create);
    assert_eq!(
        plan.steps[1].action,
        Action::Differs {
            version: 1,
            fields: vec!["mac"]
        }
    );
    let error = refusal(desk.apply(&changed));
    assert!(
        matches!(&error, Error::KeyExists { name, fields } if name == "zak" && fields == &["mac"])
    );
    assert!(error.to_string().contains("zak"), "{error}");
    assert!(matches!(
        refusal(desk.resolve(&desk.catalogue, "new")),
        Error::UnknownKey
    ));
}

pub fn a_plan_names_what_it_does_not_know(place: &Place) {
    let desk = Desk::set_up(place);
    desk.apply(&template(&ONE.replace("zak", "old"))).unwrap();
    let plan = desk.apply(&template(ONE)).unwrap();
    assert_eq!(plan.steps[1].name, "old");
    assert_eq!(plan.steps[1].action, Action::Unmanaged);
    assert!(desk.plan(&template(ONE)).unwrap().is_done());
}
