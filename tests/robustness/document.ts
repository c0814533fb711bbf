/**
 * `node tests/robustness/document.ts` writes docs/robustness.md from the record of all rounds. What stands around the figures is written by hand,
 * here.
 */
import { writeFileSync } from 'node:fs';
import { ROOT } from '../support/programs.ts';
import { RESULTS_PATH, type RobustnessRun, readRuns, totals } from './record.ts';

export const PAGE_PATH = `${ROOT}docs/robustness.md`;

const HEAD = `# Real processes under faults

Written by \`node tests/robustness/document.ts\` from \`tests/robustness/results.json\`.

[The simulation](simulation.md) runs members in one process, on a disk and a network that are not real. \`npm run robustness\` has real ones: processes of
this program, alone and together with members of etcd 3.4, 3.5, 3.6 and 3.7, each in a network namespace and on a file system of its own. While clients put, read,
compare and swap, delete, compact, hold leases and watch, in some rounds as users with tokens,

- members are killed, stopped, paused, cut off in one direction or both;
- the power of one or of all is cut: the process stops where it is, its file system (ext4, in a file that is mounted) is told to shut down without writing
  anything more, and is mounted again. What was not synced is lost, as it would be;
- their disks fail, fill up or become slow (strace answers system calls in the kernel's place, for Go's programs as for this one);
- between members, who talk TLS then, bits are flipped on the way and connections reset;
- members of this program go on in another year, backwards too, and with clocks that are up to 5 % slow;
- the leadership moves, databases are defragmented, alarms are raised, and members go on as the other program on the same data.

A seed decides what happens to whom; when it happens, and in which order things come, is up to the machine.

\`\`\`
npm run robustness                                       ten minutes, every mix of members in turn
npm run robustness -- --minutes 60 --seed 7 --into tests/robustness/results.json
npm run robustness -- --members 3.7,ours,ours --faults "kill,failing disk" --round 120
\`\`\`

It needs root and iproute2 for partitions, loop devices, ext4 and python3 for cuts of power (Node makes no \`ioctl\`), strace for disks, and the releases of etcd where \`npm test\` has them (\`ETCD_PEERS\`). What is missing is said first,
and not tried. \`npm test\` runs one short round, each fault of a disk and a cut of power.

## What is judged

Each round ends with peace. Then the members stop in order, and the judges of the simulation are fed with the log that they left, read record by record:

- every answer is what the log says at its revision, and the order of the revisions agrees with real time: linearizability of puts, ranges, deletions and
  transactions; a serializable range is right as of its revision;
- no value was written twice, none that was refused was written, no error was one that nobody can act on;
- each watcher was told every event, once, in order, revisions whole, with the right previous pair, and of progress no further than that, across all members that
  it asked; only a compaction took events away;
- no lease ended before its time, counted from the last renewal that was confirmed, and all of them ended;
- logs are equal wherever two members know of a committed entry; all members have the same hash at the end;
- after each fault the cluster serves again, no member ended by itself but of a disk that failed, and all stopped in order.

Not in it: sectors that are torn, or written in another order, by a disk that loses power (the simulation has them: what ext4 has handed to the file below is
there); damaged bytes in plain text, which nobody can notice, since neither HTTP nor raft's messages have sums: only TLS makes of them a connection
that ends; other clocks for Go's programs, which ask the kernel without a library in between. Watchers do not ask members of etcd 3.4.23, which tells of progress
before the events that belong to it (its issue #15220; a round found it).

`;

/** A hole in the test would look like a proof. */
const TAIL = `
Failures are counted by what clients were told while members were away; each of them may be told so.
`;

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

export function pageOf(runs: readonly RobustnessRun[]): string {
  const rounds = runs.flatMap((run) => run.rounds);
  const all = {
    seconds: rounds.reduce((total, { seconds }) => total + seconds, 0),
    events: rounds.reduce((total, { events }) => total + events, 0),
    entries: rounds.reduce((total, { entries }) => total + entries, 0),
  };
  const faults = totals(rounds.map((round) => round.faults));
  const operations = totals(rounds.map((round) => round.operations));
  const failures = totals(rounds.map((round) => round.failures));
  const violations = rounds.flatMap((round) => round.violations);
  const minutes = Math.round(all.seconds / 60);
  const summary = `${rounds.length} rounds, ${minutes} minutes, ${sum(Object.fromEntries(faults))} faults, ${sum(Object.fromEntries(operations))} answers and ${all.events} events judged, ${all.entries} entries, ${violations.length} violations.`;
  const runRows = runs.map(({ date, commit, processors, rounds: of }) => [
    date,
    commit,
    processors,
    of.length,
    of.map(({ seed }) => seed).join(', '),
    of.reduce((total, round) => total + sum(round.faults), 0),
    of.flatMap((round) => round.violations).length,
  ]);
  const mixRows = [...Map.groupBy(rounds, ({ members }) => members)].map(([members, of]) => [
    members,
    of.length,
    of.reduce((total, round) => total + sum(round.operations), 0),
    of.reduce((total, round) => total + round.events, 0),
    Math.max(...of.map(({ longestOutageMs }) => longestOutageMs)),
  ]);
  return [
    `${HEAD}## Figures\n\n${summary}\n`,
    table(['date', 'commit', 'processors', 'rounds', 'seeds', 'faults', 'violations'], runRows),
    '',
    table(
      ['members', 'rounds', 'answers', 'events', 'longest time without an acknowledged write, ms'],
      mixRows,
    ),
    '',
    table(['fault', 'times'], [...faults]),
    '',
    table(['request', 'answers'], [...operations]),
    '',
    table(
      ['failure', 'times'],
      [...failures].map(([text, count]) => [`\`${text}\``, count]),
    ),
    TAIL,
  ].join('\n');
}

if (import.meta.main) writeFileSync(PAGE_PATH, pageOf(readRuns(RESULTS_PATH)));
