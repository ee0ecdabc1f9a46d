import java.io.FileInputStream;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Base64;
import javax.security.auth.x500.X500Principal;

/** Prints the subject of each certificate of a file in each form that Java has, one certificate a line. */
final class Names {
    public static void main(String[] args) throws Exception {
        try (FileInputStream in = new FileInputStream(args[0])) {
            for (var c : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                X500Principal p = ((X509Certificate) c).getSubjectX500Principal();
                System.out.println(encoded(p.getName()) + " " + encoded(p.toString()) + " " + encoded(p.getName("RFC1779"))
                        + " " + encoded(p.getName("CANONICAL")));
            }
        }
    }

    private static String encoded(String name) {
        return Base64.getEncoder().encodeToString(name.getBytes(StandardCharsets.UTF_8));
    }
}
