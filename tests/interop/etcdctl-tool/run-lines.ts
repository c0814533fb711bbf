/** Runs the command lines with a tool, and masks what may differ between two runs. */
import { Running } from '../../support/run.ts';
import type { Entry } from './command-lines.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  /** What stderr says in the tool's contract: the line that begins with `Error:`. */
  readonly error: string;
}

export interface Tool {
  readonly program: string;
  /** `host:port` of the server that is its own. */
  readonly endpoint: string;
  readonly cwd: string;
}

const TIMEOUT_MS = 20_000;
const UNTIL_TIMEOUT_MS = 10_000;

/** Words of a line: split at blanks, quotes kept together, `\"` inside them a quote. */
function wordsOf(line: string): string[] {
  const words = line.match(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) =>
    word.replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_match, double?: string, single?: string) =>
      double === undefined ? (single ?? '') : double.replace(/\\(["\\])/g, '$1'),
    ),
  );
}

export async function runLine(tool: Tool, entry: Entry): Promise<Outcome> {
  const endpoints = entry.ownEndpoints === true ? {} : { ETCDCTL_ENDPOINTS: tool.endpoint };
  const running = new Running(tool.program, wordsOf(entry.line), {
    // Tools up to 3.5 have two sets of commands.
    env: { ETCDCTL_API: '3', ...endpoints, ...entry.env },
    cwd: tool.cwd,
    stdin: entry.stdin ?? '',
    encoding: 'latin1',
    timeoutMs: TIMEOUT_MS,
  });
  const { lines } = entry;
  if (lines !== undefined) {
    const isThere = (stdout: string): boolean => stdout.split('\n').length > lines;
    await running.waitForStdout(isThere, UNTIL_TIMEOUT_MS);
    running.kill(entry.signal ?? 'SIGKILL');
  }
  const { code, stdout, stderr } = await running.ended;
  const error = stderr.split('\n').find((text) => text.startsWith('Error:')) ?? '';
  return mask(tool, entry, { code, stdout, error });
}

function mask(tool: Tool, entry: Entry, { code, stdout, error }: Outcome): Outcome {
  const [, port = ''] = tool.endpoint.split(':');
  const masked = (text: string): string => {
    const common = text
      .replaceAll(port, 'PORT')
      // Ids of leases and of members that were added.
      .replace(/\b[0-9]{17,20}\b/g, 'ID')
      .replace(/(?<![0-9a-f])[0-9a-f]{11,16}(?![0-9a-f])/g, 'HEX')
      .replace(/ +HEX/g, ' HEX')
      .replace(/alarm:(\w+) +/g, 'alarm:$1 ');
    const numbered = entry.masksNumbers === true ? maskNumbers(common) : common;
    return entry.isUnordered === true
      ? numbered
          .split(/[\n,"]/)
          .sort()
          .join('\n')
      : numbered;
  };
  return { code, stdout: masked(stdout), error: masked(error) };
}

/** Durations and counts, and the widths of the tables that hold them. */
function maskNumbers(text: string): string {
  return text
    .replace(/[0-9.]+(?:\xc2?\xb5s|ns|ms|s)\b/g, 'TOOK')
    .replace(/\b[0-9.]+ [kMG]?B\b/g, 'SIZE')
    .replace(/\b[0-9]+%/g, 'SHARE')
    .replace(/\b[0-9]+\b(?!\.[0-9])/g, 'N')
    .replace(/(?:\xe2\x94\x80)+/g, '-')
    .replace(/ +/g, ' ');
}
