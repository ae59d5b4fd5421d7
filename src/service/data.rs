//! `DataService`: wire to domain and back.

use tonic::{Request, Response, Status};

use crate::domain::data::Mode;
use crate::domain::track::Layout;
use crate::ops;
use crate::ops::context::Context;
use crate::ops::data::{Beside, Clear, Enciphered, Made, Opened};
use crate::ops::track::{TranslateTrack, TranslatedTrack};
use crate::secret::Secret;
use crate::service::authorize::Rpc;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::data_service_server::DataService;
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted};

/// `pintle.v1.DataService`.
pub struct Data(pub Context);

#[tonic::async_trait]
impl DataService for Data {
    async fn encrypt_data(
        &self,
        request: Request<pb::EncryptDataRequest>,
    ) -> Result<Response<pb::EncryptDataResponse>, Status> {
        admitted::handle(Rpc::EncryptData, request, async |call, message| {
            let pb::EncryptDataRequest {
                key,
                data,
                iv,
                associated_data,
            } = message;
            // Clear data is wiped from here on, also when a field before it is refused.
            let data = Secret::new(data);
            let key = key_ref(key, "key")?;
            let beside = Beside {
                iv,
                associated_data,
            };
            let asked = Clear { data, beside };
            let made = ops::data::encrypt(&self.0, call, &key, &asked).await?;
            let Made {
                data,
                iv,
                tag,
                mode,
                key,
            } = made;
            Ok(pb::EncryptDataResponse {
                data,
                iv,
                tag,
                mode: self::mode(mode).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn decrypt_data(
        &self,
        request: Request<pb::DecryptDataRequest>,
    ) -> Result<Response<pb::DecryptDataResponse>, Status> {
        admitted::handle(Rpc::DecryptData, request, async |call, message| {
            let pb::DecryptDataRequest {
                key,
                data,
                iv,
                associated_data,
                tag,
            } = message;
            let key = key_ref(key, "key")?;
            let beside = Beside {
                iv,
                associated_data,
            };
            let asked = Enciphered { data, tag, beside };
            let opened = ops::data::decrypt(&self.0, call, &key, &asked).await?;
            let Opened {
                mut data,
                mode,
                key,
            } = opened;
            Ok(pb::DecryptDataResponse {
                // Clear data is what was asked for; tonic's copies of it are not wiped.
                data: std::mem::take(data.expose_secret_mut()),
                mode: self::mode(mode).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn translate_data(
        &self,
        request: Request<pb::TranslateDataRequest>,
    ) -> Result<Response<pb::TranslateDataResponse>, Status> {
        admitted::handle(Rpc::TranslateData, request, async |call, message| {
            let pb::TranslateDataRequest {
                source_key,
                destination_key,
                data,
                iv,
                associated_data,
                tag,
                destination_iv,
                destination_associated_data,
            } = message;
            let source_key = key_ref(source_key, "source_key")?;
            let destination_key = key_ref(destination_key, "destination_key")?;
            let beside = Beside {
                iv,
                associated_data,
            };
            let asked = Enciphered { data, tag, beside };
            let beside = Beside {
                iv: destination_iv,
                associated_data: destination_associated_data,
            };
            let keys = (&source_key, &destination_key);
            let translated = ops::data::translate(&self.0, call, keys, &asked, &beside).await?;
            let (made, source_key) = translated;
            let Made {
                data,
                iv,
                tag,
                mode,
                key,
            } = made;
            Ok(pb::TranslateDataResponse {
                data,
                iv,
                tag,
                mode: self::mode(mode).into(),
                source_key: Some(key_use(source_key)),
                destination_key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn translate_track(
        &self,
        request: Request<pb::TranslateTrackRequest>,
    ) -> Result<Response<pb::TranslateTrackResponse>, Status> {
        admitted::handle(Rpc::TranslateTrack, request, async |call, message| {
            let asked = TranslateTrack::try_from(message)?;
            Ok(ops::track::translate(&self.0, call, asked).await?.into())
        })
        .await
    }
}

impl TryFrom<pb::TranslateTrackRequest> for TranslateTrack {
    type Error = Error;

    fn try_from(message: pb::TranslateTrackRequest) -> Result<Self, Error> {
        let pb::TranslateTrackRequest {
            source_key,
            destination_key,
            digits,
            track,
        } = message;
        // Card data is wiped from here on, also when a field before it is refused.
        let track = Secret::new(track);
        let source_key = key_ref(source_key, "source_key")?;
        let destination_key = key_ref(destination_key, "destination_key")?;
        if digits == 0 {
            return Err(Error::FieldMissing("digits"));
        }
        if track.expose_secret().is_empty() {
            return Err(Error::FieldMissing("track"));
        }
        Ok(Self {
            source_key,
            destination_key,
            digits,
            track,
        })
    }
}

impl From<TranslatedTrack> for pb::TranslateTrackResponse {
    fn from(translated: TranslatedTrack) -> Self {
        let TranslatedTrack {
            track,
            layout,
            source_key,
            destination_key,
        } = translated;
        let layout = match layout {
            Layout::UnionPayOneBlock => pb::TrackLayout::UnionpayOneBlock,
            Layout::UnionPayWhole => pb::TrackLayout::UnionpayWhole,
        };
        Self {
            track,
            layout: layout.into(),
            source_key: Some(key_use(source_key)),
            destination_key: Some(key_use(destination_key)),
        }
    }
}

fn mode(mode: Mode) -> pb::DataMode {
    match mode {
        Mode::Ecb => pb::DataMode::Ecb,
        Mode::Cbc => pb::DataMode::Cbc,
        Mode::Ctr => pb::DataMode::Ctr,
        Mode::Gcm => pb::DataMode::Gcm,
    }
}
