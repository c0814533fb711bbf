/**
 * Where the certificates of one side of a program are (its clients', or its peers'), and the rules for whom it talks to. An empty
 * path is a file that is not used.
 */
export interface TlsFiles {
  /** Shown to whoever connects, and to whom this side connects unless {@link clientCertFile} is there. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  /** Who may have signed the other side's certificate; the system's authorities when empty. */
  readonly trustedCaFile: string;
  /** Certificates that are not accepted any more, a DER or PEM file. */
  readonly crlFile: string;
  /** Whoever connects needs a certificate. So it is, too, when there is a {@link trustedCaFile}. */
  readonly clientCertAuth: boolean;
  /** The other side's certificate must have one of these names; empty: any. At most one of the lists is given. */
  readonly allowedCommonNames: readonly string[];
  readonly allowedHostnames: readonly string[];
  /** Whether a certificate that names hosts or addresses is accepted from those alone. */
  readonly checksClientSan: boolean;
  /** Both sides have made their certificates themselves: traffic is encrypted, but nobody is who he is for sure. */
  readonly isSelfSigned: boolean;
  /** The name that the other side's certificate has to have, whatever was dialled; empty: what was dialled. */
  readonly serverName: string;
}

export const NO_TLS_FILES: TlsFiles = {
  certFile: '',
  keyFile: '',
  clientCertFile: '',
  clientKeyFile: '',
  trustedCaFile: '',
  crlFile: '',
  clientCertAuth: false,
  allowedCommonNames: [],
  allowedHostnames: [],
  checksClientSan: false,
  isSelfSigned: false,
  serverName: '',
};

/** Whether a certificate and its key are given: without them nothing can be served over TLS. */
export function hasCertificate({ certFile, keyFile }: TlsFiles): boolean {
  return certFile !== '' || keyFile !== '';
}
