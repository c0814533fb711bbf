/**
 * A list of revoked certificates (CRL): the serial numbers that are not accepted any more. As in etcd, a certificate is revoked when its serial
 * is on the list, at any place of the chain that was shown; the list's own signature and dates are its publisher's matter. Parsed by a
 * package that is loaded only where there is a list.
 */
import { readBytes } from './key-pair.ts';
import { pemBlocks } from './pem.ts';
import { TlsError } from './tls-error.ts';

/** Serial numbers in lower-case hexadecimal without leading zeros. */
export type Revocations = ReadonlySet<string>;

export const NO_REVOCATIONS: Revocations = new Set();

/** Rejects with {@link TlsError} for a file that is no list. */
export async function loadRevocations(path: string): Promise<Revocations> {
  const bytes = readBytes(path);
  const block = pemBlocks(bytes.toString('latin1')).find(({ label }) => label === 'X509 CRL');
  const der =
    block === undefined ? bytes : Buffer.from(block.text.replace(/-----[^-]*-----|\s/g, ''), 'base64');
  const [{ AsnConvert }, { CertificateList }] = await Promise.all([
    import('@peculiar/asn1-schema'),
    import('@peculiar/asn1-x509'),
  ]);
  try {
    const { revokedCertificates = [] } = AsnConvert.parse(der, CertificateList).tbsCertList;
    return new Set(
      revokedCertificates.map(({ userCertificate }) =>
        serialText(Buffer.from(userCertificate).toString('hex')),
      ),
    );
  } catch (error) {
    throw new TlsError('malformed', `x509: malformed crl (${path})`, { cause: error });
  }
}

/** One form for the same serial, whoever printed it. */
export function serialText(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '');
}
