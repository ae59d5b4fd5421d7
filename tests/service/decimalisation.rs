//! DecimalisationService.

use pintle::client::{Client, Refused};
use pintle::domain::pin_verification::decimalisation::DecimalisationTable;
use pintle::keys::decimalisation;
use pintle::keys::error::Error;
use pintle::keys::key_ref::KeyName;
use pintle::service::pb::admin::v1::{
    CreateDecimalisationTableRequest, DecideApprovalRequest, ListApprovalsRequest,
    ListDecimalisationTablesRequest,
};
use tonic::Code;

use crate::authority::uri;
use crate::refusal::{assert_refused, refused};
use crate::world::{EVERYTHING, OFFICER, World, world};

const CREATE: &str = "pintle.admin.v1.DecimalisationService/CreateDecimalisationTable";
/// The usual table.
const DIGITS: &str = "0123456789012345";

fn asked(name: &str, digits: &str) -> CreateDecimalisationTableRequest {
    CreateDecimalisationTableRequest {
        request_id: format!("create-{name}-{digits}"),
        name: name.to_owned(),
        digits: digits.to_owned(),
    }
}

/// The table that the keys of `keys.toml` name; the first test to ask has it made.
pub async fn provide(world: &World) {
    let client = world.admin_client().await;
    match client
        .create_decimalisation_table(asked("pvk-table", DIGITS))
        .await
    {
        Ok(answer) => assert_eq!(answer.table.unwrap().digits, DIGITS),
        // Another test of this run was quicker.
        Err(error) => {
            let Refused { reason, .. } = refused::<()>(Err(error));
            let raced = ["DECIMALISATION_TABLE_EXISTS", "STORE_UNAVAILABLE"];
            assert!(raced.contains(&reason.as_str()), "{reason}");
        }
    }
}

#[test]
fn create_decimalisation_table_accepts_a_sound_table_once_and_its_repetition() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let request = asked("pvk-made-once", "9876543210987654");
        let made = client.create_decimalisation_table(request.clone()).await;
        let made = made.unwrap().table.unwrap();
        assert_eq!(
            (made.name.as_str(), made.digits.as_str()),
            ("pvk-made-once", "9876543210987654")
        );
        let again = client.create_decimalisation_table(request).await;
        assert_eq!(again.unwrap().table.unwrap().created, made.created);
        let other = asked("pvk-made-once", DIGITS);
        let answer = client.create_decimalisation_table(other).await;
        let reason = "DECIMALISATION_TABLE_EXISTS";
        assert_refused(answer, Code::AlreadyExists, reason, "name");
    });
}

#[test]
fn create_decimalisation_table_refuses_weak_tables_bad_names_and_names_out_of_scope() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let ask = async |name, digits| {
            client
                .create_decimalisation_table(asked(name, digits))
                .await
        };
        for weak in [
            "0000000000000000",
            "0000000000000001",
            "0123456012345601",
            "0123456700001234",
            "012345678901234",
            "012345678901234A",
        ] {
            let reason = "DECIMALISATION_TABLE_WEAK";
            let answer = ask("pvk-weak", weak).await;
            assert_refused(answer, Code::InvalidArgument, reason, "digits");
        }
        let answer = ask("PVK", DIGITS).await;
        assert_refused(answer, Code::InvalidArgument, "KEY_NAME_MALFORMED", "name");
        let answer = ask("pvk-weak", "").await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "digits");
        let answer = ask("elsewhere", DIGITS).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "name");
    });
}

#[test]
fn create_decimalisation_table_refuses_until_a_second_person_has_approved() {
    world().run(async |world| {
        let address = format!("https://{}", world.approving(&[CREATE]).await);
        let connect = async |name| {
            let tls = world.authority.client(&[uri(name)], &world.authority);
            Client::connect(&address, &tls).await.unwrap()
        };
        let (asker, officer) = (connect(EVERYTHING).await, connect(OFFICER).await);
        let request = asked("pvk-approved", DIGITS);
        let answer = asker.create_decimalisation_table(request.clone()).await;
        assert_refused(answer, Code::FailedPrecondition, "APPROVAL_REQUIRED", None);
        let listed = officer.list_approvals(ListApprovalsRequest {}).await;
        let mut waiting = listed.unwrap().approvals.into_iter();
        let approval = waiting
            .find(|it| it.call == CREATE && it.keys == ["pvk-approved"])
            .unwrap();
        let decision = DecideApprovalRequest {
            id: approval.id,
            request_hash: approval.request_hash,
            approve: true,
        };
        officer.decide_approval(decision).await.unwrap();
        let made = asker.create_decimalisation_table(request).await.unwrap();
        assert_eq!(made.table.unwrap().digits, DIGITS);
    });
}

#[test]
fn list_decimalisation_tables_accepts_and_shows_what_was_made() {
    world().run(async |world| {
        let client = world.admin_client().await;
        let request = asked("pvk-listed", DIGITS);
        client.create_decimalisation_table(request).await.unwrap();
        let listed = client
            .list_decimalisation_tables(ListDecimalisationTablesRequest {})
            .await
            .unwrap();
        let listed = listed.tables.into_iter().map(|it| (it.name, it.digits));
        assert!(
            listed
                .into_iter()
                .any(|it| it == ("pvk-listed".to_owned(), DIGITS.to_owned()))
        );
    });
}

#[test]
fn list_decimalisation_tables_refuses_a_caller_without_a_row() {
    world().run(async |world| {
        let address = format!("https://{}", world.approving(&[]).await);
        let tls = world
            .authority
            .client(&[uri(crate::world::MAC_ONLY)], &world.authority);
        let client = Client::connect(&address, &tls).await.unwrap();
        let answer = client
            .list_decimalisation_tables(ListDecimalisationTablesRequest {})
            .await;
        assert_refused(answer, Code::PermissionDenied, "CALL_REFUSED", None);
    });
}

#[test]
fn a_table_that_was_changed_or_moved_in_the_store_is_refused() {
    world().run(async |world| {
        // Of another tenant, so that no listing of the other tests meets it.
        let tenant = KeyName::parse("tampered").unwrap();
        let name = |name| KeyName::parse(name).unwrap();
        let catalogue = &world.context.catalogue;
        let table = DecimalisationTable::parse(DIGITS).unwrap();
        for made in ["pvk-a", "pvk-b"] {
            let act = pintle::keys::act::Act::operator();
            let name = name(made);
            let made = decimalisation::create(catalogue, &tenant, (&name, table), &act);
            made.await.unwrap();
        }
        let read = async |of| decimalisation::read(catalogue, &tenant, &name(of)).await;
        read("pvk-a").await.unwrap();
        let connection = rusqlite::Connection::open(&world.store).unwrap();
        let body: Vec<u8> = connection
            .query_row(
                "SELECT body FROM document WHERE id = 'tampered/pvk-a'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        let write = |body: &[u8]| {
            connection
                .execute(
                    "UPDATE document SET body = ?1 WHERE id = 'tampered/pvk-a'",
                    [body],
                )
                .unwrap();
        };
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            write(&changed);
            let refused = read("pvk-a").await;
            assert!(matches!(refused, Err(Error::TableTampered { .. })), "{at}");
        }
        // Put back it is a table again; under another name it is none.
        write(&body);
        read("pvk-a").await.unwrap();
        connection
            .execute(
                "UPDATE document SET body = ?1 WHERE id = 'tampered/pvk-b'",
                [&body],
            )
            .unwrap();
        let refused = read("pvk-b").await;
        assert!(matches!(refused, Err(Error::TableTampered { .. })));
        let refused = read("pvk-c").await;
        assert!(matches!(refused, Err(Error::TableUnknown { .. })));
    });
}
