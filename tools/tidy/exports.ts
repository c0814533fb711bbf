/**
 * Exports that nobody uses. A value (constant, function, class) that no other file names is private to its file, or dead; an
 * `index.ts` that passes it on is no use of it, except in packages that are published: what their index exports is for others.
 * Types are left alone: one that only appears in the signature of an exported function has to be exported for its users' sake.
 */

export interface ExportingFile {
  readonly path: string;
  readonly package: string;
  readonly isGenerated: boolean;
  readonly text: string;
}

/** What these export is for people outside this repository. */
const PUBLISHED = new Set(['api', 'base', 'bbolt', 'client', 'raft', 'transport']);

const VALUE = /^export (?:abstract )?(?:async )?(?:const|let|function\*?|class) ([A-Za-z_$][\w$]*)/gm;
const WORD = /[A-Za-z_$][\w$]*/g;

/** Complaints, one for each export of `files` that no other of them names. */
export function checkExports(files: readonly ExportingFile[]): string[] {
  const users = new Map<string, ExportingFile[]>();
  for (const file of files) {
    for (const word of new Set(usingText(file).match(WORD))) {
      const known = users.get(word);
      if (known === undefined) users.set(word, [file]);
      else known.push(file);
    }
  }
  const complaints: string[] = [];
  for (const file of files) {
    if (file.isGenerated) continue;
    for (const [, name] of file.text.matchAll(VALUE)) {
      // A name that ends so is the beginning of a template from which code is made.
      if (name!.endsWith('$') || users.get(name!)?.some((user) => user !== file)) continue;
      complaints.push(`${file.path}: nobody uses the export ${name}`);
    }
  }
  return complaints;
}

/** What of a file makes use of names: not what an index passes on, where nobody outside can take it. */
function usingText({ path, package: name, text }: ExportingFile): string {
  const passesOn = path.endsWith('/index.ts') && !PUBLISHED.has(name);
  return passesOn ? text.replace(/^export (?:type )?\{[^}]*\} from .*$/gm, '') : text;
}
