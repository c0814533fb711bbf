/** How many members a discovery service is told that a cluster has. */
const MAX_MEMBERS = 2 ** 31 - 1;

/** null where the text is no such number. */
export function parseMemberCount(text: string): number | null {
  if (!/^\+?\d+$/.test(text)) return null;
  const count = Number(text);
  return count > 0 && count <= MAX_MEMBERS ? count : null;
}
