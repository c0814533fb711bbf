/**
 * Writes into docs/security.md which tests show each requirement: those whose names carry its number. `node tools/security-tests.ts`. What the
 * requirements say is written by hand.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

const ROOT = new URL('..', import.meta.url).pathname;
const PAGE = `${ROOT}docs/security.md`;
/** A title of a test, or of a case of it, however it is quoted: its numbers stand first, or behind what is tested. */
const NUMBERED_TITLE = /['"`](?:\$\{[^}]*\}:? )?((?:S\d\d )+)/g;
/** A row of the tables: number, requirement, tests. */
const ROW = /^\| (S\d\d) \| (.*) \| (.*) \|$/gm;

/** The files that have a test with the number, by number. */
export function numberedTests(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const file of globSync(['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts'], { cwd: ROOT }).sort()) {
    const text = readFileSync(`${ROOT}${file}`, 'utf8');
    const numbers = [...text.matchAll(NUMBERED_TITLE)].flatMap(([, prefix]) => prefix!.trim().split(' '));
    for (const number of new Set(numbers)) {
      const files = found.get(number) ?? [];
      files.push(file);
      found.set(number, files);
    }
  }
  return found;
}

/** The requirements of the page, each with the files that it names. */
export function listedTests(page: string): ReadonlyMap<string, readonly string[]> {
  return new Map(
    [...page.matchAll(ROW)].map(([, number, , tests]) => [
      number!,
      [...tests!.matchAll(/\(\.\.\/([^)]+)\)/g)].map(([, file]) => file!),
    ]),
  );
}

/** A row of the table of parts: number, part, name of a test, its file. */
const PART = /^\| (S\d\d): (.*) \| \[(.*)\]\(\.\.\/([^)]+)\) \|$/gm;

export interface ShownPart {
  readonly number: string;
  readonly title: string;
  readonly file: string;
}

/** What the page says of each part of a requirement. */
export function shownParts(page: string): ShownPart[] {
  return [...page.matchAll(PART)].map(([, number, , title, file]) => ({
    number: number!,
    title: title!,
    file: file!,
  }));
}

/** Why the test that shows a part does not; null: it is there, and carries the number. */
export function partProblem({ number, title, file }: ShownPart): string | null {
  const line = readFileSync(`${ROOT}${file}`, 'utf8')
    .split('\n')
    .find((each) => each.includes(title) && each.includes(`${number} `));
  return line === undefined ? `${file} has no test of ${number} that is named ${title}` : null;
}

export function readPage(): string {
  return readFileSync(PAGE, 'utf8');
}

function linkTo(file: string): string {
  return `[${basename(file, '.test.ts')}](../${file})`;
}

export function withTests(page: string, tests: ReadonlyMap<string, readonly string[]>): string {
  return page.replace(ROW, (_row, number: string, requirement: string) => {
    const links = (tests.get(number) ?? []).map(linkTo);
    return `| ${number} | ${requirement} | ${links.length === 0 ? '–' : links.join(', ')} |`;
  });
}

if (import.meta.main) writeFileSync(PAGE, withTests(readPage(), numberedTests()));
