/** What a client's flags say of TLS and of the user that it comes as. */
import { readFileSync } from 'node:fs';
import { ExitError } from './exit-error.ts';
import { askSecret } from './prompt.ts';

/** Who comes, for a client to connect with: empty for nobody. */
export interface NamedCredentials {
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** A user as `name`, or as `name:password`; without a password it is asked for. */
export async function namedCredentials(
  user: string,
  password: string,
  prompt: string,
): Promise<NamedCredentials> {
  if (user === '') return {};
  if (password !== '') return { credentials: { username: user, password } };
  const colon = user.indexOf(':');
  if (colon >= 0) return { credentials: { username: user.slice(0, colon), password: user.slice(colon + 1) } };
  const asked = await askSecret(prompt);
  if (asked === null) throw new ExitError(1, 'EOF');
  return { credentials: { username: user, password: asked } };
}

export interface TlsFlags {
  readonly cert: string;
  readonly key: string;
  readonly cacert: string;
  readonly serverName: string;
  readonly isInsecure: boolean;
  readonly skipsVerification: boolean;
}

/** What is in the files, for a client to connect with. */
export interface TlsMaterial {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
  readonly serverName?: string;
  readonly insecureSkipVerify: boolean;
}

/** undefined where nothing asks for TLS. Throws an ExitError with `exitCode`. */
export function tlsFrom(flags: TlsFlags, exitCode: number): TlsMaterial | undefined {
  const { cert, key, cacert, serverName, isInsecure, skipsVerification } = flags;
  if ((cert === '') !== (key === '')) {
    const files = `[key: ${key}, cert: ${cert}]`;
    throw new ExitError(exitCode, `KeyFile and CertFile must both be present${files}`);
  }
  const isNamed = cert !== '' || cacert !== '' || serverName !== '';
  if (!isNamed && isInsecure && !skipsVerification) return undefined;
  return {
    ...(cert === '' ? {} : { cert: readTlsFile(cert, exitCode), key: readTlsFile(key, exitCode) }),
    ...(cacert === '' ? {} : { ca: readTlsFile(cacert, exitCode) }),
    ...(serverName === '' ? {} : { serverName }),
    insecureSkipVerify: skipsVerification,
  };
}

function readTlsFile(path: string, exitCode: number): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT' ? 'no such file or directory' : code === 'EACCES' ? 'permission denied' : code;
    throw new ExitError(exitCode, `open ${path}: ${reason}`);
  }
}
