/**
 * Who is it: tokens and passwords. What a user may do is applied state and lives in `@etcd/storage/auth`; here is what is not
 * the same on every member, costs time or needs secrets.
 *
 * A {@link TokenProvider} gives out tokens and turns them back into identities: {@link SimpleTokens} are random words that all
 * members learn from the log, {@link JwtTokens} are signed and known to no one. {@link Passwords} hashes and compares with
 * bcrypt, away from the event loop, and remembers (salted, bounded) what has been verified.
 *
 * No password and no token is ever logged, put into an error or a metric (S09): a token is named by its fingerprint.
 */
export { type AuthenticatedMember, Authentication, type AuthenticationOptions } from './authentication.ts';
export { type Bcrypt, type Passwords, readPart } from './passwords.ts';
export { tokenFingerprint } from './token-fingerprint.ts';
export type { TokenCallback, TokenProvider } from './token-provider.ts';
