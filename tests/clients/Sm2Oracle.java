import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import org.bouncycastle.crypto.CipherParameters;
import org.bouncycastle.crypto.params.ParametersWithID;
import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.crypto.signers.SM2Signer;
import org.bouncycastle.jcajce.provider.asymmetric.util.ECUtil;
import org.bouncycastle.jcajce.spec.SM2ParameterSpec;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.util.encoders.Hex;

/**
 * SM2 by BouncyCastle, for sm2_oracles.py; the lines are those of sm2_oracle.cjs. DER goes the way that
 * Alipay's Java SDK goes (SM3withSM2 of the provider); raw r and s by the signer beneath it.
 */
public class Sm2Oracle {
    private static final BouncyCastleProvider PROVIDER = new BouncyCastleProvider();
    private static final byte[] IDENTITY = "1234567812345678".getBytes();
    private final KeyPair own;

    private Sm2Oracle() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", PROVIDER);
        generator.initialize(new ECGenParameterSpec("sm2p256v1"));
        own = generator.generateKeyPair();
    }

    public static void main(String[] arguments) throws Exception {
        Sm2Oracle oracle = new Sm2Oracle();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            try {
                System.out.println(oracle.answer(line.split(" ")));
            } catch (Exception error) {
                System.out.println(("error " + error).replace('\n', ' '));
            }
        }
    }

    private String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "version":
                return PROVIDER.getVersionStr();
            case "key":
                return Hex.toHexString(own.getPublic().getEncoded());
            case "sign":
                return Hex.toHexString(sign(words[1], bytes(words[2])));
            case "verify":
                return String.valueOf(verify(words[1], bytes(words[2]), bytes(words[3]), bytes(words[4])));
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    private byte[] sign(String encoding, byte[] message) throws Exception {
        if (encoding.equals("raw")) {
            SM2Signer signer = raw(true, ECUtil.generatePrivateKeyParameter(own.getPrivate()), message);
            return signer.generateSignature();
        }
        Signature signature = signature();
        signature.initSign(own.getPrivate());
        signature.update(message);
        return signature.sign();
    }

    private boolean verify(String encoding, byte[] info, byte[] message, byte[] sign) throws Exception {
        X509EncodedKeySpec spec = new X509EncodedKeySpec(info);
        PublicKey key = KeyFactory.getInstance("EC", PROVIDER).generatePublic(spec);
        if (encoding.equals("raw")) {
            return raw(false, ECUtil.generatePublicKeyParameter(key), message).verifySignature(sign);
        }
        Signature signature = signature();
        signature.initVerify(key);
        signature.update(message);
        return signature.verify(sign);
    }

    private static Signature signature() throws Exception {
        Signature signature = Signature.getInstance("SM3withSM2", PROVIDER);
        signature.setParameter(new SM2ParameterSpec(IDENTITY));
        return signature;
    }

    private static SM2Signer raw(boolean signs, CipherParameters key, byte[] message) {
        SM2Signer signer = new SM2Signer(PlainDSAEncoding.INSTANCE);
        signer.init(signs, new ParametersWithID(key, IDENTITY));
        signer.update(message, 0, message.length);
        return signer;
    }

    private static byte[] bytes(String word) {
        return word.equals("-") ? new byte[0] : Hex.decode(word);
    }
}
