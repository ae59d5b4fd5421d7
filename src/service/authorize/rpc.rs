//! The calls by name. What each may do is its row's, in `calls`.

/// Every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// `PinService.TranslatePin`
    TranslatePin,
    /// `PinService.TranslatePins`
    TranslatePins,
    /// `PinService.VerifyPin`
    VerifyPin,
    /// `PinService.GeneratePinReference`
    GeneratePinReference,
    /// `PinService.GeneratePin`
    GeneratePin,
    /// `MacService.GenerateMac`
    GenerateMac,
    /// `MacService.VerifyMac`
    VerifyMac,
    /// `TerminalService.SignIn`
    SignIn,
    /// `TerminalService.SecureMessage`
    SecureMessage,
    /// `MacService.GenerateMacs`
    GenerateMacs,
    /// `MacService.VerifyMacs`
    VerifyMacs,
    /// `MacService.GenerateMacStream`
    GenerateMacStream,
    /// `MacService.VerifyMacStream`
    VerifyMacStream,
    /// `DataService.EncryptData`
    EncryptData,
    /// `DataService.DecryptData`
    DecryptData,
    /// `DataService.TranslateData`
    TranslateData,
    /// `DataService.TranslateTrack`
    TranslateTrack,
    /// `SigningService.Sign`
    Sign,
    /// `SigningService.Verify`
    Verify,
    /// `SigningService.CreateCertificateRequest`
    CreateCertificateRequest,
    /// `SigningService.GetPublicKey`
    GetPublicKey,
    /// `AlipayService.SignRequest`
    SignRequest,
    /// `AlipayService.SignPagePay`
    SignPagePay,
    /// `AlipayService.SignAppPay`
    SignAppPay,
    /// `AlipayService.EncryptContent`
    EncryptContent,
    /// `AlipayService.DecryptContent`
    DecryptContent,
    /// `AlipayService.ComputeCertificateSerial`
    ComputeCertificateSerial,
    /// `AlipayService.CheckCertificateChain`
    CheckCertificateChain,
    /// `AlipayService.VerifyResponse`
    VerifyResponse,
    /// `AlipayService.SignV3Request`
    SignV3Request,
    /// `AlipayService.VerifyV3Response`
    VerifyV3Response,
    /// `AlipayService.VerifyNotification`
    VerifyNotification,
    /// `AlipayService.DiffSignString`
    DiffSignString,
    /// `AlipayService.CheckProfile`
    CheckProfile,
    /// `WechatPayService.SignWechatRequest`
    SignWechatRequest,
    /// `WechatPayService.SignWechatPayment`
    SignWechatPayment,
    /// `WechatPayService.VerifyWechatMessage`
    VerifyWechatMessage,
    /// `WechatPayService.EncryptWechatFields`
    EncryptWechatFields,
    /// `WechatPayService.DecryptWechatFields`
    DecryptWechatFields,
    /// `WechatPayService.DecryptWechatResource`
    DecryptWechatResource,
    /// `UnionPayGatewayService.SignGatewayRequest`
    SignGatewayRequest,
    /// `UnionPayGatewayService.VerifyGatewayResponse`
    VerifyGatewayResponse,
    /// `UnionPayGatewayService.EncryptGatewayFields`
    EncryptGatewayFields,
    /// `RandomService.GenerateRandom`
    GenerateRandom,
    /// `KeyService.CreateKey`
    CreateKey,
    /// `KeyService.ImportKey`
    ImportKey,
    /// `KeyService.ImportCryptogram`
    ImportCryptogram,
    /// `KeyService.ExportKey`
    ExportKey,
    /// `KeyService.GetKey`
    GetKey,
    /// `KeyService.ListKeys`
    ListKeys,
    /// `KeyService.RotateKey`
    RotateKey,
    /// `KeyService.SetKeyState`
    SetKeyState,
    /// `KeyService.DestroyKey`
    DestroyKey,
    /// `KeyService.RestoreKey`
    RestoreKey,
    /// `KeyService.UpdateKeyMetadata`
    UpdateKeyMetadata,
    /// `KeyService.TranslateKeyBlock`
    TranslateKeyBlock,
    /// `ApprovalService.ListApprovals`
    ListApprovals,
    /// `ApprovalService.DecideApproval`
    DecideApproval,
    /// `DecimalisationService.CreateDecimalisationTable`
    CreateDecimalisationTable,
    /// `DecimalisationService.ListDecimalisationTables`
    ListDecimalisationTables,
}
