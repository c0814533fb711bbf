/** Runs a command line of a tool on a copy of the files, and tells what it printed and left behind. */
import { cpSync, readdirSync } from 'node:fs';
import { type Ended, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';
import { type Files, goTool } from './files.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly error: string;
  /** What was made, or changed: files with what is in them. */
  readonly files: readonly string[];
}

/** What is left in a data directory, as the Go tool sees it: names, the contents of the database, the voters. */
async function describeFiles(cwd: string): Promise<string[]> {
  const lines: string[] = [];
  for (const name of readdirSync(cwd, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!/^(made|default\.etcd|member\/)/.test(name)) continue;
    const isDatabase = name.endsWith('snap/db');
    const status = isDatabase ? (await run(goTool('3.7'), ['snapshot', 'status', name], { cwd })).stdout : '';
    lines.push(`${name} ${status.trim()}`);
  }
  return lines;
}

export async function runLine(program: string, line: string, { directory }: Files): Promise<Outcome> {
  const cwd = temporaryDirectory();
  // The log of the member is large: it is copied where it is needed.
  const filter = (path: string): boolean => / member\b/.test(line) || !path.endsWith('.wal');
  cpSync(directory, cwd, { recursive: true, filter });
  const ended: Ended = await run(program, line.split(' '), { cwd });
  const { code, stdout, stderr } = ended;
  const error = stderr.split('\n').find((text) => text.startsWith('Error:')) ?? '';
  return { code, stdout, error, files: await describeFiles(cwd) };
}
