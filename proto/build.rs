//! Compiles `proto/` with protox (no protoc needed) and asks the linker to export the two PKCS#11
//! entry points of the embedded token, and nothing else, when that feature is on.

use std::path::PathBuf;

/// Every file of the wire contract, relative to `proto/`.
const FILES: &[&str] = &[
    "pintle/v1/key.proto",
    "pintle/v1/outcome.proto",
    "pintle/v1/pin_service.proto",
    "pintle/v1/mac_service.proto",
    "pintle/v1/terminal_service.proto",
    "pintle/v1/data_service.proto",
    "pintle/v1/sensitive_field.proto",
    "pintle/v1/signing_service.proto",
    "pintle/v1/certificate.proto",
    "pintle/v1/alipay_content.proto",
    "pintle/v1/alipay_page.proto",
    "pintle/v1/alipay_service.proto",
    "pintle/v1/wechat_pay_service.proto",
    "pintle/v1/union_pay_gateway_service.proto",
    "pintle/v1/random_service.proto",
    "pintle/admin/v1/key.proto",
    "pintle/admin/v1/key_service.proto",
    "pintle/admin/v1/approval_service.proto",
    "pintle/admin/v1/decimalisation_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .skip_debug(["."])
        .compile_fds(descriptors)?;
    if std::env::var_os("CARGO_FEATURE_EMBEDDED_TOKEN").is_some() {
        // Never -rdynamic: a dlopened module would bind to the static OpenSSL.
        for symbol in ["C_GetFunctionList", "C_GetInterface"] {
            println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol={symbol}");
        }
    }
    Ok(())
}
