/** A snapshot's digest, structure and records, one after the other. */
import { openDatabase, runSteps, type Tool } from '../tool.ts';
import { readSnapshot } from './copy-snapshot.ts';
import { type Verified, type VerifyWishes, verifyDatabase } from './verify.ts';

/** Each walk reads everything once: what is kept of it serves nobody. */
const CACHE_BYTES = 16 << 20;

export interface VerifyOptions extends VerifyWishes {
  /** A file that was copied from a data directory has no digest; one that was just written was compared with it. */
  readonly skipsDigest: boolean;
  /** How long another process may have the file. */
  readonly timeoutMs: number;
}

/** Throws what is wrong with the file. */
export async function verifyFile(tool: Tool, path: string, options: VerifyOptions): Promise<Verified> {
  if (!options.skipsDigest) await runSteps(readSnapshot(tool.disk, path, false, () => {}));
  const { timeoutMs } = options;
  const database = await openDatabase(tool, path, { readOnly: true, timeoutMs, cacheBytes: CACHE_BYTES });
  try {
    return await runSteps(verifyDatabase(database, options));
  } finally {
    database.close();
  }
}
