//! Who is calling, over mutual TLS, and what the policy lets them do.

use pintle::client::{Client, Error, Refused};
use pintle::service::pb::v1::mac_service_client::MacServiceClient;
use pintle::service::pb::v1::{
    GenerateMacRequest, GenerateRandomRequest, GetPublicKeyRequest, SignRequestRequest,
    TranslatePinRequest, VerifyMacRequest, VerifyRequest,
};
use pintle::service::server::{
    Reflection, ServeError, admin_routes, danger_serve_plaintext_on_loopback,
};
use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose, SanType};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::authority::{Authority, dns, uri};
use crate::refusal::{assert_refused, refused};
use crate::world::{EVERYTHING, MAC_ONLY, World, key, world};

async fn connect(world: &World, names: &[SanType]) -> Client {
    let tls = world.authority.client(names, &world.authority);
    Client::connect(&address(world), &tls).await.unwrap()
}

fn address(world: &World) -> String {
    format!("https://{}", world.tls)
}

async fn random(client: &Client) -> Result<Vec<u8>, Error> {
    Ok(client
        .generate_random(GenerateRandomRequest { length: 8 })
        .await?
        .random)
}

#[test]
fn the_one_uri_of_the_certificate_is_the_caller() {
    world().run(async |world| {
        let client = connect(world, &[uri(EVERYTHING)]).await;
        for _ in 0..3 {
            assert_eq!(random(&client).await.unwrap().len(), 8);
        }
        let client = connect(world, &[dns("till.example"), uri(EVERYTHING)]).await;
        random(&client).await.unwrap();
    });
}

#[test]
fn a_certificate_without_exactly_one_uri_is_no_caller_and_says_no_more() {
    world().run(async |world| {
        let two = [uri(EVERYTHING), uri(MAC_ONLY)];
        let twice = [uri(EVERYTHING), uri(EVERYTHING)];
        let mut answers = Vec::new();
        for names in [&[][..], &[dns("till.example")][..], &two[..], &twice[..]] {
            let client = connect(world, names).await;
            answers.push(refused(random(&client).await));
        }
        let tls = world
            .authority
            .client_with(&[uri(EVERYTHING)], &world.authority, |params| {
                params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
            });
        let client = Client::connect(&address(world), &tls).await.unwrap();
        answers.push(refused(random(&client).await));
        for answer in &answers {
            assert_eq!(
                (answer.code, answer.reason.as_str()),
                (Code::Unauthenticated, "CALLER_UNKNOWN")
            );
            assert_eq!(answer, &answers[0]);
        }
    });
}

/// Holds that TLS itself refused the connection: nothing of ours answered.
#[track_caller]
fn assert_no_connection<T>(answer: Result<T, Error>) {
    match answer {
        Err(Error::Connect(_)) => {}
        Err(Error::Refused(Refused { reason, .. })) if reason.is_empty() => {}
        Err(Error::Refused(refused)) => panic!("the service answered: {refused}"),
        Ok(_) => panic!("the call was accepted"),
    }
}

#[test]
fn no_certificate_one_of_another_authority_and_a_ca_as_leaf_do_not_get_in() {
    world().run(async |world| {
        let stranger = Authority::new("another");
        let tls = stranger.client(&[uri(EVERYTHING)], &world.authority);
        let answer = async { random(&Client::connect(&address(world), &tls).await?).await };
        assert_no_connection(answer.await);

        let tls = world
            .authority
            .client_with(&[uri(EVERYTHING)], &world.authority, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            });
        let answer = async { random(&Client::connect(&address(world), &tls).await?).await };
        match answer.await {
            Err(Error::Refused(refused)) if refused.code == Code::Unauthenticated => {}
            answer => assert_no_connection(answer),
        }

        let bare = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(world.authority.pem()))
            .domain_name("localhost");
        let endpoint = Endpoint::from_shared(address(world))
            .unwrap()
            .tls_config(bare)
            .unwrap();
        let answer = async {
            let request = GenerateMacRequest {
                key: key("mac-hmac"),
                message: Vec::new(),
            };
            let mut client = MacServiceClient::new(endpoint.connect().await?);
            client
                .generate_mac(request)
                .await
                .map_err(|status| Refused::from(&status).into())
        };
        assert_no_connection::<_>(answer.await);
    });
}

#[test]
fn a_client_that_expects_another_server_does_not_connect() {
    world().run(async |world| {
        let mut tls = world.authority.client(&[uri(EVERYTHING)], &world.authority);
        tls.server_name = "elsewhere.example".to_owned();
        assert!(matches!(
            Client::connect(&address(world), &tls).await,
            Err(Error::Connect(_))
        ));
    });
}

#[test]
fn a_caller_without_a_row_may_make_no_call_at_all() {
    world().run(async |world| {
        for name in [
            "spiffe://test/stranger",
            "spiffe://test/every",
            "spiffe://test/everything/",
        ] {
            let client = connect(world, &[uri(name)]).await;
            let code = Code::PermissionDenied;
            let (key, none) = (|| key("mac-hmac"), Vec::new);
            let translate = TranslatePinRequest::default();
            assert_refused(
                client.translate_pin(translate).await,
                code,
                "CALL_REFUSED",
                None,
            );
            let generate = GenerateMacRequest {
                key: key(),
                message: none(),
            };
            assert_refused(
                client.generate_mac(generate).await,
                code,
                "CALL_REFUSED",
                None,
            );
            let verify = VerifyMacRequest {
                key: key(),
                message: none(),
                mac: none(),
            };
            assert_refused(client.verify_mac(verify).await, code, "CALL_REFUSED", None);
            let verify = VerifyRequest {
                key: key(),
                message: none(),
                signature: none(),
                ..VerifyRequest::default()
            };
            assert_refused(client.verify(verify).await, code, "CALL_REFUSED", None);
            let public = GetPublicKeyRequest { key: key() };
            assert_refused(
                client.get_public_key(public).await,
                code,
                "CALL_REFUSED",
                None,
            );
            let sign = SignRequestRequest {
                key: key(),
                ..SignRequestRequest::default()
            };
            assert_refused(client.sign_request(sign).await, code, "CALL_REFUSED", None);
            assert_refused(random(&client).await, code, "CALL_REFUSED", None);
        }
    });
}

#[test]
fn a_row_allows_its_calls_and_no_other() {
    world().run(async |world| {
        let client = connect(world, &[uri(MAC_ONLY)]).await;
        let request = GenerateMacRequest {
            key: key("mac-hmac"),
            message: b"m".to_vec(),
        };
        client.generate_mac(request).await.unwrap();
        assert_refused(
            random(&client).await,
            Code::PermissionDenied,
            "CALL_REFUSED",
            None,
        );
    });
}

#[test]
fn a_key_outside_the_scope_answers_exactly_as_an_absent_one() {
    world().run(async |world| {
        let tls = world.authority.client(&[uri(MAC_ONLY)], &world.authority);
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&tls.server_ca))
            .identity(tonic::transport::Identity::from_pem(
                &tls.certificate,
                tls.private_key.expose_secret(),
            ))
            .domain_name("localhost");
        let endpoint = Endpoint::from_shared(address(world))
            .unwrap()
            .tls_config(config)
            .unwrap();
        let mut client = MacServiceClient::new(endpoint.connect().await.unwrap());
        let mut answers = Vec::new();
        // Exists and is no MAC key, exists under another name's scope, does not exist, in or out.
        for name in [
            "hidden-zpk",
            "tpk-tdes",
            "sign-rsa2",
            "mac-nobody-made",
            "zpk-nobody",
        ] {
            let request = GenerateMacRequest {
                key: key(name),
                message: b"m".to_vec(),
            };
            let status = client
                .generate_mac(request)
                .await
                .err()
                .expect("outside the scope");
            answers.push((
                status.code(),
                status.message().to_owned(),
                status.details().to_vec(),
            ));
        }
        assert_eq!(answers[0].0, Code::NotFound);
        assert!(answers.iter().all(|answer| answer == &answers[0]));
    });
}

#[test]
fn plaintext_is_refused_on_an_address_that_is_not_loopback() {
    world().run(async |world| {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let routes =
            admin_routes(&world.context, &world.stack, &world.health, Reflection::Off).unwrap();
        let served = danger_serve_plaintext_on_loopback(listener, routes, std::future::ready(()));
        assert!(matches!(served.await, Err(ServeError::NotLoopback(_))));
    });
}
