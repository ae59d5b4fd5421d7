//! The second person, over mutual TLS.

use pintle::client::{Client, Error, Refused};
use pintle::service::pb::admin::v1::key_service_client::KeyServiceClient;
use pintle::service::pb::admin::v1::{
    Approval, ApprovalState, CreateKeyRequest, DecideApprovalRequest, ListApprovalsRequest,
};
use sha2::{Digest, Sha256};
use tonic::Code;
use tonic_types::StatusExt;

use crate::authority::uri;
use crate::keys::mac_key;
use crate::refusal::assert_refused;
use crate::world::{EVERYTHING, OFFICER, World, client_of, world};

const CREATE: &str = "pintle.admin.v1.KeyService/CreateKey";

async fn two_people(world: &World) -> (Client, Client) {
    let address = format!("https://{}", world.approving(&[CREATE]).await);
    let connect = async |name| {
        let tls = world.authority.client(&[uri(name)], &world.authority);
        Client::connect(&address, &tls).await.unwrap()
    };
    (connect(EVERYTHING).await, connect(OFFICER).await)
}

fn request(name: &str) -> CreateKeyRequest {
    CreateKeyRequest {
        request_id: format!("create-{name}"),
        spec: Some(mac_key(name)),
    }
}

/// The hash of a request as its caller computes it.
fn hash(request: &CreateKeyRequest) -> Vec<u8> {
    let message = prost::Message::encode_to_vec(request);
    Sha256::digest([CREATE.as_bytes(), &[0], &message].concat()).to_vec()
}

async fn waiting(client: &Client, request: &CreateKeyRequest) -> Approval {
    let listed = client
        .list_approvals(ListApprovalsRequest {})
        .await
        .unwrap();
    let found = listed.approvals.into_iter();
    let mut found = found.filter(|approval| approval.request_hash == hash(request));
    found.next().expect("the request waits")
}

fn decision(approval: &Approval, approve: bool) -> DecideApprovalRequest {
    DecideApprovalRequest {
        id: approval.id.clone(),
        request_hash: approval.request_hash.clone(),
        approve,
    }
}

#[test]
fn decide_approval_accepts_another_person_and_the_request_is_then_carried_out_once() {
    world().run(async |world| {
        let (asker, officer) = two_people(world).await;
        let request = request("adm-approved");
        for _ in 0..2 {
            let answer = asker.create_key(request.clone()).await;
            assert_refused(answer, Code::FailedPrecondition, "APPROVAL_REQUIRED", None);
        }
        let approval = waiting(&officer, &request).await;
        assert!(approval.state() == ApprovalState::Waiting);
        assert_eq!(approval.requested_by, EVERYTHING);
        assert_eq!(
            (approval.call.as_str(), &approval.keys[..]),
            (CREATE, &["adm-approved".to_owned()][..])
        );
        let decided = officer
            .decide_approval(decision(&approval, true))
            .await
            .unwrap();
        assert_eq!(decided.approval.unwrap().decided_by, OFFICER);

        // Another request is not this one.
        let other = CreateKeyRequest {
            request_id: "another".to_owned(),
            ..request.clone()
        };
        let answer = asker.create_key(other).await;
        assert_refused(answer, Code::FailedPrecondition, "APPROVAL_REQUIRED", None);
        let made = asker
            .create_key(request.clone())
            .await
            .unwrap()
            .key
            .unwrap();
        assert_eq!((made.name.as_str(), made.version), ("adm-approved", 1));
        // A repetition is answered; the approval is used.
        assert_eq!(
            asker
                .create_key(request.clone())
                .await
                .unwrap()
                .key
                .unwrap()
                .version,
            1
        );
        assert!(waiting(&asker, &request).await.state() == ApprovalState::Used);
    });
}

#[test]
fn decide_approval_refuses_the_asker_another_hash_and_a_second_decision() {
    world().run(async |world| {
        let (asker, officer) = two_people(world).await;
        let request = request("adm-rejected");
        let refused = asker.create_key(request.clone()).await;
        assert_refused(refused, Code::FailedPrecondition, "APPROVAL_REQUIRED", None);
        let approval = waiting(&officer, &request).await;
        let own = asker.decide_approval(decision(&approval, true)).await;
        assert_refused(own, Code::PermissionDenied, "APPROVAL_OWN", None);
        let mut other = decision(&approval, true);
        other.request_hash[0] ^= 1;
        let answer = officer.decide_approval(other).await;
        assert_refused(answer, Code::NotFound, "APPROVAL_UNKNOWN", "id");
        officer
            .decide_approval(decision(&approval, false))
            .await
            .unwrap();
        let again = officer.decide_approval(decision(&approval, true)).await;
        assert_refused(again, Code::NotFound, "APPROVAL_UNKNOWN", "id");
        let answer = asker.create_key(request).await;
        assert_refused(answer, Code::PermissionDenied, "APPROVAL_REJECTED", None);
    });
}

#[test]
fn list_approvals_accepts_and_the_refusal_names_the_approval() {
    world().run(async |world| {
        let address = format!("https://{}", world.approving(&[CREATE]).await);
        let tls = world.authority.client(&[uri(EVERYTHING)], &world.authority);
        let client = Client::connect(&address, &tls).await.unwrap();
        let request = request("adm-named");
        let channel = world.admin_channel(&address, EVERYTHING).await;
        let status = KeyServiceClient::new(channel)
            .create_key(request.clone())
            .await
            .err()
            .unwrap();
        let info = status.get_details_error_info().unwrap();
        let approval = waiting(&client, &request).await;
        assert_eq!(info.metadata.get("approval"), Some(&approval.id));
    });
}

#[test]
fn list_approvals_refuses_a_caller_on_the_other_listener() {
    world().run(async |world| {
        let data = client_of(world.plaintext).await;
        match data.list_approvals(ListApprovalsRequest {}).await {
            Err(Error::Refused(Refused { code, .. })) => assert_eq!(code, Code::Unimplemented),
            _ => panic!("the data plane has no such call"),
        }
    });
}
