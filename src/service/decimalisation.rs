//! `DecimalisationService`: wire to domain and back.

use tonic::{Request, Response, Status};

use crate::keys::decimalisation::StoredTable;
use crate::ops;
use crate::ops::context::Context;
use crate::service::authorize::Rpc;
use crate::service::keys::key_name;
use crate::service::pb::admin::v1 as pb;
use crate::service::pb::admin::v1::decimalisation_service_server::DecimalisationService;
use crate::service::wire::timestamp;
use crate::service::{Error, admitted};

/// `pintle.admin.v1.DecimalisationService`.
pub struct Decimalisation(pub Context);

#[tonic::async_trait]
impl DecimalisationService for Decimalisation {
    async fn create_decimalisation_table(
        &self,
        request: Request<pb::CreateDecimalisationTableRequest>,
    ) -> Result<Response<pb::CreateDecimalisationTableResponse>, Status> {
        admitted::changing(
            Rpc::CreateDecimalisationTable,
            request,
            async |call, asked, message| {
                let pb::CreateDecimalisationTableRequest {
                    request_id,
                    name,
                    digits,
                } = message;
                let name = key_name(&name)?;
                if digits.is_empty() {
                    return Err(Error::FieldMissing("digits"));
                }
                let request = asked.under(&request_id);
                let made =
                    ops::decimalisation::create(&self.0, call, request, &name, &digits).await?;
                Ok(pb::CreateDecimalisationTableResponse {
                    table: Some(table(made)),
                })
            },
        )
        .await
    }

    async fn list_decimalisation_tables(
        &self,
        request: Request<pb::ListDecimalisationTablesRequest>,
    ) -> Result<Response<pb::ListDecimalisationTablesResponse>, Status> {
        admitted::handle(
            Rpc::ListDecimalisationTables,
            request,
            async |call, message| {
                let pb::ListDecimalisationTablesRequest {} = message;
                let tables = ops::decimalisation::list(&self.0, call).await?;
                Ok(pb::ListDecimalisationTablesResponse {
                    tables: tables.into_iter().map(table).collect(),
                })
            },
        )
        .await
    }
}

fn table(stored: StoredTable) -> pb::DecimalisationTable {
    let StoredTable {
        name,
        table,
        created,
    } = stored;
    pb::DecimalisationTable {
        name: name.to_string(),
        digits: table.to_string(),
        created: Some(timestamp(created)),
    }
}
