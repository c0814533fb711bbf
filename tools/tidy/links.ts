/**
 * Links in Markdown: what a page points to inside this repository exists, and so does the heading that it names. Addresses
 * elsewhere are not looked at: a check must not depend on a network.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;
const OUTSIDE = /^(?:[a-z][a-z+.-]*:|\/\/)/i;

/** Complaints about the links of `pages`, paths relative to `root`. */
export function checkLinks(root: string, pages: readonly string[]): string[] {
  const complaints: string[] = [];
  for (const page of pages) {
    for (const [index, line] of prose(readFileSync(join(root, page), 'utf8')).entries()) {
      for (const [, target] of line.matchAll(LINK)) {
        if (OUTSIDE.test(target!)) continue;
        const problem = linkProblem(root, page, target!);
        if (problem !== null) complaints.push(`${page}:${index + 1}: ${problem}`);
      }
    }
  }
  return complaints;
}

function linkProblem(root: string, page: string, target: string): string | null {
  const [file = '', heading] = target.split('#');
  const path = file === '' ? page : normalize(join(dirname(page), file));
  const full = join(root, path);
  if (path.startsWith('..')) return `the link to ${target} leaves the repository`;
  if (!existsSync(full)) return `the link to ${target} leads nowhere`;
  if (heading === undefined || heading === '' || !statSync(full).isFile() || !path.endsWith('.md'))
    return null;
  const known = headings(readFileSync(full, 'utf8'));
  return known.has(heading) ? null : `${path} has no heading #${heading}`;
}

/** The lines of a page, those of code blocks made empty. */
function prose(text: string): string[] {
  let isCode = false;
  return text.split('\n').map((line) => {
    const isFence = line.trimStart().startsWith('```');
    if (isFence) isCode = !isCode;
    return isCode || isFence ? '' : line;
  });
}

/** Names of the headings, as web views of repositories make them. */
function headings(text: string): Set<string> {
  const names = new Set<string>();
  for (const line of prose(text)) {
    const title = /^#+\s+(.*?)\s*$/.exec(line)?.[1];
    if (title === undefined) continue;
    const plain = title.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '');
    names.add(plain.replace(/\s/g, '-'));
  }
  return names;
}
