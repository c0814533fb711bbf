/** Whether a page that a request comes from is one of this server's own. */
export function isSameOrigin(
  origin: string,
  { isSecure, header }: { readonly isSecure: boolean; readonly header: (name: string) => string | null },
): boolean {
  const host = header('host');
  return host !== null && origin.toLowerCase() === `${isSecure ? 'https' : 'http'}://${host.toLowerCase()}`;
}
