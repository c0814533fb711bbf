/** The command line of `npm run bench`. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { BenchCase } from './case.ts';
import { CASES } from './cases/index.ts';

export const USAGE = `npm run bench -- --against PROGRAM [--cases a,b] [--all] [--rounds N] [--quick] [--json FILE] [--ours PROGRAM]

  --against PROGRAM  a real etcd to compare with
  --cases a,b        only these; --list names them, and a* are all that begin with a
  --all              the long ones, too
  --rounds N         how often each is measured; the median counts (3)
  --quick            a smoke test: everything small, one round; the figures mean nothing
  --json FILE        writes the figures; those of other cases that FILE has stay
  --ours PROGRAM     instead of bin/etcd of this checkout
  --list             names the cases and ends
`;

const DEFAULT_ROUNDS = 3;

export interface Options {
  readonly ours: string;
  readonly against: string;
  readonly cases: readonly BenchCase[];
  readonly rounds: number;
  readonly isQuick: boolean;
  readonly isListing: boolean;
  /** Null to write none. */
  readonly jsonPath: string | null;
}

/** Throws an Error whose message is for the user. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      against: { type: 'string' },
      ours: { type: 'string' },
      cases: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      all: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : DEFAULT_ROUNDS));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: not a count`);
  const against = values.list ? '' : program('--against', values.against);
  const ours = program('--ours', values.ours ?? new URL('../bin/etcd', import.meta.url).pathname);
  return {
    ours,
    against,
    cases: chooseCases(values.cases, values.all),
    rounds,
    isQuick: values.quick,
    isListing: values.list,
    jsonPath: values.json ?? null,
  };
}

function program(flag: string, path: string | undefined): string {
  if (path === undefined) throw new Error(`${flag} is missing`);
  if (!existsSync(path)) throw new Error(`${flag} ${path}: no such program`);
  return resolve(path);
}

/** A name stands for one case, or with an asterisk at its end for all that begin like it. */
function chooseCases(names: string | undefined, isAll: boolean): readonly BenchCase[] {
  if (names === undefined) return CASES.filter((one) => isAll || one.isLong !== true);
  return names.split(',').flatMap((name) => {
    const found = name.endsWith('*')
      ? CASES.filter((one) => one.name.startsWith(name.slice(0, -1)))
      : CASES.filter((one) => one.name === name);
    if (found.length === 0) throw new Error(`--cases: there is no case ${name}`);
    return found;
  });
}
