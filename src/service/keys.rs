//! `KeyService`: wire to domain and back. What the messages of keys have in common stands in `words`.

mod words;

use tonic::{Request, Response, Status};

use crate::keys::attributes::{Exportability, State};
use crate::keys::exchange::release::{Release, Released};
use crate::keys::key_ref::{KeyName, NamedKey};
use crate::keys::lifecycle::Metadata;
use crate::keys::record::Header;
use crate::ops;
use crate::ops::context::{Call, Context};
use crate::ops::keys::{CryptogramRequest, Source, Step};
use crate::service::authorize::Rpc;
use crate::service::keys::words::{extras, key_version, key_words, labels, moment};
use crate::service::pb::admin::v1 as pb;
use crate::service::pb::admin::v1::key_service_server::KeyService;
use crate::service::wire::named;
use crate::service::{Error, admitted};

/// `pintle.admin.v1.KeyService`.
pub struct Keys(pub Context);

#[tonic::async_trait]
impl KeyService for Keys {
    async fn create_key(
        &self,
        request: Request<pb::CreateKeyRequest>,
    ) -> Result<Response<pb::CreateKeyResponse>, Status> {
        admitted::changing(Rpc::CreateKey, request, async |call, asked, message| {
            let pb::CreateKeyRequest { request_id, spec } = message;
            let spec = spec.ok_or(Error::FieldMissing("spec"))?;
            let extras = extras(&spec)?;
            let spec = key_words(spec)?.spec().map_err(ops::Error::Words)?;
            let request = asked.under(&request_id);
            let header = ops::keys::create(&self.0, call, request, spec, extras).await?;
            Ok(pb::CreateKeyResponse {
                key: Some(key_version(&header)),
            })
        })
        .await
    }

    async fn import_key(
        &self,
        request: Request<pb::ImportKeyRequest>,
    ) -> Result<Response<pb::ImportKeyResponse>, Status> {
        admitted::changing(Rpc::ImportKey, request, async |call, asked, message| {
            let pb::ImportKeyRequest {
                request_id,
                spec,
                check_value,
                source: from,
            } = message;
            let spec = spec.ok_or(Error::FieldMissing("spec"))?;
            let extras = extras(&spec)?;
            let wanted = key_words(spec)?.wanted().map_err(ops::Error::Words)?;
            let from = source(from.ok_or(Error::FieldMissing("source"))?)?;
            let request = asked.under(&request_id);
            let wanted = (wanted, check_value, extras);
            let header = ops::keys::import(&self.0, call, request, from, wanted).await?;
            Ok(pb::ImportKeyResponse {
                key: Some(key_version(&header)),
            })
        })
        .await
    }

    async fn import_cryptogram(
        &self,
        request: Request<pb::ImportCryptogramRequest>,
    ) -> Result<Response<pb::ImportCryptogramResponse>, Status> {
        admitted::changing(
            Rpc::ImportCryptogram,
            request,
            async |call, asked, message| {
                let pb::ImportCryptogramRequest {
                    request_id,
                    parent_key,
                    cryptogram,
                    check_value,
                    spec,
                    protection_key,
                } = message;
                let spec = spec.ok_or(Error::FieldMissing("spec"))?;
                let mut words = key_words(spec)?;
                if !words.name.is_empty() {
                    return Err(Error::FieldSuperfluous("spec.name"));
                }
                // It gets none: what is answered is a block that its caller keeps.
                words.name = "unnamed".to_owned();
                let cryptogram = CryptogramRequest {
                    parent: named(&parent_key, "parent_key")?,
                    protection: named(&protection_key, "protection_key")?,
                    bytes: cryptogram,
                    check_value,
                    wanted: words.wanted().map_err(ops::Error::Words)?,
                };
                let request = asked.under(&request_id);
                let released =
                    ops::keys::import_cryptogram(&self.0, call, request, cryptogram).await?;
                let Released { block, check_value } = released;
                Ok(pb::ImportCryptogramResponse {
                    key_block: block,
                    check_value,
                })
            },
        )
        .await
    }

    async fn export_key(
        &self,
        request: Request<pb::ExportKeyRequest>,
    ) -> Result<Response<pb::ExportKeyResponse>, Status> {
        admitted::changing(Rpc::ExportKey, request, async |call, asked, message| {
            let pb::ExportKeyRequest {
                request_id,
                name,
                version,
                protection_key,
                exportability: leaving,
                with_profile,
            } = message;
            let key = NamedKey {
                version: (version != 0).then_some(version),
                ..named(&name, "name")?
            };
            let protection = named(&protection_key, "protection_key")?;
            let wanted = Release {
                exportability: exportability(&leaving)?.unwrap_or(Exportability::NonExportable),
                own: with_profile,
            };
            let request = asked.under(&request_id);
            let keys = (key, protection);
            let released = ops::keys::export(&self.0, call, request, keys, wanted).await?;
            let Released { block, check_value } = released;
            Ok(pb::ExportKeyResponse {
                key_block: block,
                check_value,
            })
        })
        .await
    }

    async fn get_key(
        &self,
        request: Request<pb::GetKeyRequest>,
    ) -> Result<Response<pb::GetKeyResponse>, Status> {
        admitted::handle(Rpc::GetKey, request, async |call, message| {
            let pb::GetKeyRequest { name } = message;
            let versions = ops::keys::get(&self.0, call, &key_name(&name)?).await?;
            Ok(pb::GetKeyResponse {
                versions: versions.iter().map(key_version).collect(),
            })
        })
        .await
    }

    async fn list_keys(
        &self,
        request: Request<pb::ListKeysRequest>,
    ) -> Result<Response<pb::ListKeysResponse>, Status> {
        admitted::handle(Rpc::ListKeys, request, async |call, message| {
            let pb::ListKeysRequest {
                page_size,
                page_token,
                filter,
            } = message;
            let page = ops::keys::list(&self.0, call, page_size, &page_token, &filter).await?;
            Ok(pb::ListKeysResponse {
                keys: page.keys.iter().map(key_version).collect(),
                next_page_token: page.next.unwrap_or_default(),
            })
        })
        .await
    }

    async fn rotate_key(
        &self,
        request: Request<pb::RotateKeyRequest>,
    ) -> Result<Response<pb::RotateKeyResponse>, Status> {
        admitted::changing(Rpc::RotateKey, request, async |call, asked, message| {
            let pb::RotateKeyRequest {
                request_id,
                name,
                activates,
                expires,
            } = message;
            let step = Step::Rotate {
                activates: moment(activates, "activates")?,
                expiry: moment(expires, "expires")?,
            };
            let key = self
                .step(call, asked.under(&request_id), &name, step)
                .await?;
            Ok(pb::RotateKeyResponse { key })
        })
        .await
    }

    async fn set_key_state(
        &self,
        request: Request<pb::SetKeyStateRequest>,
    ) -> Result<Response<pb::SetKeyStateResponse>, Status> {
        admitted::changing(Rpc::SetKeyState, request, async |call, asked, message| {
            let to = match message.state() {
                pb::KeyState::Active => State::Active,
                pb::KeyState::Retiring => State::Retiring,
                pb::KeyState::Disabled => State::Disabled,
                pb::KeyState::Unspecified
                | pb::KeyState::Pending
                | pb::KeyState::Destroying
                | pb::KeyState::Destroyed => return Err(Error::EnumUnknown("state")),
            };
            let pb::SetKeyStateRequest {
                request_id,
                name,
                version,
                state: _,
            } = message;
            let step = Step::SetState(version, to);
            let key = self
                .step(call, asked.under(&request_id), &name, step)
                .await?;
            Ok(pb::SetKeyStateResponse { key })
        })
        .await
    }

    async fn destroy_key(
        &self,
        request: Request<pb::DestroyKeyRequest>,
    ) -> Result<Response<pb::DestroyKeyResponse>, Status> {
        admitted::changing(Rpc::DestroyKey, request, async |call, asked, message| {
            let pb::DestroyKeyRequest {
                request_id,
                name,
                version,
                waiting_days,
            } = message;
            let step = Step::Destroy(version, waiting_days);
            let key = self
                .step(call, asked.under(&request_id), &name, step)
                .await?;
            Ok(pb::DestroyKeyResponse { key })
        })
        .await
    }

    async fn restore_key(
        &self,
        request: Request<pb::RestoreKeyRequest>,
    ) -> Result<Response<pb::RestoreKeyResponse>, Status> {
        admitted::changing(Rpc::RestoreKey, request, async |call, asked, message| {
            let pb::RestoreKeyRequest {
                request_id,
                name,
                version,
            } = message;
            let step = Step::Restore(version);
            let key = self
                .step(call, asked.under(&request_id), &name, step)
                .await?;
            Ok(pb::RestoreKeyResponse { key })
        })
        .await
    }

    async fn update_key_metadata(
        &self,
        request: Request<pb::UpdateKeyMetadataRequest>,
    ) -> Result<Response<pb::UpdateKeyMetadataResponse>, Status> {
        admitted::changing(
            Rpc::UpdateKeyMetadata,
            request,
            async |call, asked, message| {
                let pb::UpdateKeyMetadataRequest {
                    request_id,
                    name,
                    version,
                    labels: noted,
                    expires,
                    make_non_exportable,
                } = message;
                let metadata = Metadata {
                    labels: labels(&noted)?,
                    expiry: moment(expires, "expires")?,
                    make_non_exportable,
                };
                let step = Step::Update(version, metadata);
                let key = self
                    .step(call, asked.under(&request_id), &name, step)
                    .await?;
                Ok(pb::UpdateKeyMetadataResponse { key })
            },
        )
        .await
    }

    async fn translate_key_block(
        &self,
        request: Request<pb::TranslateKeyBlockRequest>,
    ) -> Result<Response<pb::TranslateKeyBlockResponse>, Status> {
        admitted::changing(
            Rpc::TranslateKeyBlock,
            request,
            async |call, asked, message| {
                let pb::TranslateKeyBlockRequest {
                    request_id,
                    source_protection_key,
                    destination_protection_key,
                    key_block,
                    exportability: leaving,
                } = message;
                let keys = (
                    named(&source_protection_key, "source_protection_key")?,
                    named(&destination_protection_key, "destination_protection_key")?,
                );
                let block = (key_block.as_str(), exportability(&leaving)?);
                let request = asked.under(&request_id);
                let released = ops::keys::translate(&self.0, call, request, keys, block).await?;
                let Released { block, check_value } = released;
                Ok(pb::TranslateKeyBlockResponse {
                    key_block: block,
                    check_value,
                })
            },
        )
        .await
    }
}

impl Keys {
    async fn step(
        &self,
        call: &Call,
        request: ops::keys::Request<'_>,
        name: &str,
        step: Step,
    ) -> Result<Option<pb::KeyVersion>, Error> {
        let name = key_name(name)?;
        let header: Header = ops::keys::step(&self.0, call, request, &name, step).await?;
        Ok(Some(key_version(&header)))
    }
}

fn source(from: pb::import_key_request::Source) -> Result<Source, Error> {
    match from {
        pb::import_key_request::Source::KeyBlock(block) => {
            let pb::WrappedInKeyBlock {
                protection_key,
                key_block,
            } = block;
            Ok(Source::KeyBlock {
                protection: named(&protection_key, "key_block.protection_key")?,
                block: key_block,
            })
        }
        pb::import_key_request::Source::PublicKey(public) => Ok(Source::PublicKey(public)),
        pb::import_key_request::Source::RsaOaep(key) => {
            let pb::WrappedUnderRsaOaep {
                transport_key,
                wrapped,
            } = key;
            Ok(Source::RsaOaep {
                transport: named(&transport_key, "rsa_oaep.transport_key")?,
                wrapped,
            })
        }
    }
}

pub(in crate::service) fn key_name(name: &str) -> Result<KeyName, Error> {
    named(name, "name").map(|key| key.name)
}

fn exportability(letter: &str) -> Result<Option<Exportability>, Error> {
    match letter.as_bytes() {
        [] => Ok(None),
        [code] => Exportability::from_code(*code)
            .map(Some)
            .ok_or(Error::EnumUnknown("exportability")),
        _ => Err(Error::EnumUnknown("exportability")),
    }
}
