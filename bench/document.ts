/** Writes docs/benchmarks.md and the README's table of goals from results/etcd-*.json, one file a release: `node bench/document.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { CASES } from './cases/index.ts';
import { goalsTable } from './goals-table.ts';
import { formatTable, makeReport, type Report } from './report.ts';

const RELEASES = ['3.5', '3.7'] as const;

const reports = RELEASES.map((release) => {
  const file = new URL(`results/etcd-${release}.json`, import.meta.url);
  const { machine, results } = JSON.parse(readFileSync(file, 'utf8')) as Report;
  // The goals are those of today, and a case that is gone has none.
  const { rows } = makeReport(
    CASES,
    results.filter(({ name }) => CASES.some((one) => one.name === name)),
  );
  return { release, report: { machine, rows, results } };
});
const { machine } = reports[0]!.report;
const measured = CASES.filter((one) =>
  reports.some(({ report }) => report.rows.some((row) => row.case === one.name)),
);

/** A table for each release. */
function tables(choose: (rows: Report['rows']) => Report['rows']): string {
  return reports
    .map(({ release, report }) => `### Against Go etcd ${release}\n\n${formatTable(choose(report.rows))}`)
    .join('\n');
}

const text = `# Benchmarks

Written by \`node bench/document.ts\` from \`bench/results/etcd-3.5.json\` and \`etcd-3.7.json\`, which come from

    npm run bench -- --all --against <etcd 3.5> --json bench/results/etcd-3.5.json

on a virtual machine with ${machine.cpus} CPUs (${machine.model}) and Node.js ${machine.node}, generator and servers on the same
two CPUs. The column *load* is the machine's load average meanwhile, what is measured included: 1 to 4 is a machine that did nothing else. [bench/README.md](../bench/README.md) says what the columns mean and how it
is measured.

What falls short, and why:

- \`put-1\`: of the time that one request takes, the disk's sync, which both servers wait for, and the generator's own turn around
  are the larger part. A profile of the server shows one read, one write and one sync of the log and one write to the socket, without an extra turn
  of the event loop in between.
- \`memory-1m\`: what is resident right after the last put, on a quiet machine, and peaks near it. On a busy one, where puts come a third as fast, 162 MB were
  left (peak 217): *Memory after a load* below.
- \`connections-16k\`: each of 16,000 puts a second comes alone on its connection, and cost 102 us before *Many connections with little each* below; that is 1.6 of two processors, with the
  generator's half of one on top, so that requests queue for seconds. *Many connections with little each* below says what became of a third of that. All are
  served, an idle connection takes 8.6 kB. Go's 1,000 connections would take eight processors at 16,000.
- \`tracing\`: to a member with tracing switched off the ratios are 1.02 and 1.04; between two members without a word of tracing the puts of this run differ by 1.13.
- \`catch-up\`: the table's figure is of a case without limits, in which all three members and the generator shared one disk, which the database of 1 GB kept busy. Now
  each member is limited to 40 MB a second (control group \`blkio\` of version 1, \`io.max\` of version 2; the former was tried), what was missed is written before the rate is
  taken, and both programs are warm. See *A member that catches up* below.
- the longest stall of \`stall-5m\` contains the time that prober and server wait for a processor, and was last measured on a busy machine. Counted in CPU of the thread instead (\`process.threadCpuUsage\`
  between turns): of 25,000 turns of 200 puts that bring a store to 5,000,000 keys, and 2,000 that change them, one took 83 ms, which did not come again in a second run, and no other above 18 ms, the atomic part of full collections included
  (16); tables and trees grow by segments and slabs, commits go in slices. In the whole server (1,000,000 keys, load average 37) no turn had more than 38 ms once the load had begun; those at its begin
  were half descriptions of slow requests that nobody was to read, which are not made any more.
- \`snapshot-1g\`, status: a third to a half of its CPU is the CRC-32C over all keys and values, which V8 does at 1.85 GB/s and Go with an instruction of the
  processor; two interleaved streams are slower (1.48 GB/s). It reads the file once, in stretches of 256 KiB.
- \`etcdctl\`: \`node -e 0\` alone takes 31 ms of CPU and 42 MB where Go's tool takes 12 ms and 17 MB in all;
  [packages/etcdctl](../packages/etcdctl/README.md) says what is above that.

## What an API server does: facts, and what was tried

\`cost-model\` and \`steady-memory\` show where things stand.

- **Memory outside the heap.** A Put of 4 kB asked for 13.8 kB (18.0 kB with watchers), most of which lived until a full collection: chunks of
  proposals, slabs of revisions, arrays of events, arenas of the write transaction, pages. All of these are used again now; a Put asks for 4.7 kB, and
  4.3 kB of that is what Node reads its socket into. Of the event loop's busy time in \`k8s-update\`, garbage collection was 13 % before, and between 1
  and 7 % since (one profile each, load average 20 to 30), the server's CPU per request 16 % less (five alternating rounds).
- **A Put of 4 kB** (\`cost-model\`, load average 8) took 54.5 us of CPU, 45 since the log writes no zeros for large batches: the threads that
  write files 14.5 and 9.5, the bytes handed to the kernel 14.3 kB and 10.2. Beside the build of before, in one run, \`k8s-update\` takes 0.84 of the
  CPU and 1.26 times the rate (four rounds, load average 20). What is left (profile by the kernel's clock, both builds warm): 26 % V8's own code,
  23 % the kernel in the threads that write files (half of that copying into the page cache), 20 % our code, 12 % V8's threads, 10 % the kernel
  in the event loop, 6 % the C library. Garbage collection is 4 to 5 % of the event loop's busy time.
- **\`k8s-update\`, \`-create-delete\`, \`-conflict\` at 0.25 of the CPU** are met over TLS, as API servers talk (0.16 to 0.26), and missed in plain text (0.33 to 0.36 of 3.7's). An object of 4 kB is copied by the
  kernel four times on either side (out of the socket, into the log, into the database, and each of them on to the disk), and synced: that is some
  20 us of Go's 90, and of our 40. A tenth of the rest could be had by fewer bytes, as above; the next point is what else there was, measured after the tables were made.
- **Objects that V8 takes for lasting.** Half of what a transaction of 4 kB made in the heap, 2.4 kB of 4.9, was made among the old objects, and the 4 kB that it had read
  from the socket stayed with it: garbage that only full collections find, one in 10,000 requests. V8 had seen the objects of requests outlive the collections of young ones while a thousand were in
  flight (as in the rounds that warm a server up, or in any burst), and makes them among the old ones from then on, for good. Since that is switched off
  (\`host/process/young-objects.ts\`) 0.2 kB are; with one-element lists that take no room for seventeen a transaction makes 3.8 kB. \`k8s-update\` beside the build of before all this and of
  the next point: 60 us of CPU and 89, 13,200 and 10,400 requests a second, p99 18.6 and 26.8 ms (seven alternating rounds, both programs and the generator at real-time priority on a
  machine with a load average of 26); \`txn-100x10\` 17.8 and 21.5 us (five rounds, load average 20). What is left of \`put-100x10\` (after 120,000 requests, load average 30): 29 % our code, 15 %
  V8's built-in functions, 17 % the compiler's threads, 13 % the kernel in the event loop, 6 % in the threads that write files, 6 % garbage collection.
- **The slowest requests** of these cases are those behind a commit of the database: a sync of the log that met one took 7 to 11 ms instead of 1 to 3 (log of every file operation, load average 8), because 8 MB of pages
  lay before it on the disk; turns of the event loop above 3 ms had 0.03 to 2.4 ms of CPU in them, and collections took at most 3.9 ms. Pages are written in pieces of 512 KiB now, each durable before the next. A program that writes as the
  log does beside one that writes as commits do (215 kB, and 8 MB every 100 ms; two runs, load average 25): p99 41 and 47 ms with one sync for all pages, 19 and 18 in such
  pieces, 23 and 14 in pieces of 256 KiB, 18 and 14 without commits.
- **Tried, and left as it was.** Batches of more than 64 KiB always on the thread pool, so that the event loop works meanwhile: 75 and 80 us of CPU, 13,360 and 13,430 a second (five rounds at real-time
  priority): no difference. The log past the page cache (\`O_DIRECT\`): a batch of 215 kB takes 84 to 106 us of CPU instead of 158 to 205, one of 4 kB the same; 1.8 us of an object of 4 kB, for memory that has to be aligned, which Node
  does not offer, and a last block that is written twice. A CRC-32C of the processor: Node has none (\`zlib.crc32\` is another polynomial), ours takes 4 % of the CPU. Other
  priorities (\`nice\`) do not help on a busy machine, where the kernel shares processors between sessions.
- **Many connections with little each.** Of the CPU of 8,000 connections that put once a second each, garbage collection was 42 %, the kernel 17 %, our code 16 %. The reason was a block of 16 kB for each connection that had an
  answer in a turn, where 256 are kept: 64 MB of them are what V8 collects the whole heap for, with all that belongs to connections in it, 0.5 to 1 s a time. A connection that writes little
  takes 2 kB now, and 4,096 are kept. With 4,000 connections (load average 26 and 43): 97 and 93 us a put before, with five full collections, and 70 with two, both while they
  connect. What is left (2,000 connections, load average 35): 27 % the kernel in the event loop, 21 % our code, 11 % V8's built-in functions, 15 % garbage collection, and some 10 % in Node's streams: an object
  in C++ for each write, and two callbacks that run after the turn for each read and write, which only Node's own modules can do without.
- **The just-in-time compiler** was a third of the CPU in the rounds of cases with few requests in flight: 1,000 functions are compiled by one and 280 by
  the second compiler within the first 60,000 requests, and 61 given up and made again. These cases now begin with 40,000 requests for both programs.
  Compiling earlier (\`--invocation-count-for-maglev=100 --minimum-invocations-after-ic-update=50 --invocation-count-for-turbofan=1000\`) gave 0.75, 0.84,
  0.99 and 0.95 of the CPU in four comparisons, \`--always-sparkplug\` 0.96 and 1.15: noise, and left alone.
- **Put, one to four in flight.** A turn with one request has one read, one durable write of the log, one write to the socket, one wait; on the
  thread pool one more wake-up each way. \`sync-floor\` is the time of a program that does nothing but write and sync. On a busy machine (two processors,
  load above 15) we fall behind Go (0.5 of its rate at \`put-4x1\`, 0.9 of the CPU): an event loop that has just worked gets its processor
  last, where Go's work is spread over threads that each do little. Done against it: one job of the thread pool for a batch instead of two, and
  inline syncs only where they last ([formats](formats/wal.md)): 0.81 of the CPU, 1.13 of the rate. Not done: writing inline and syncing on the thread pool,
  which measures the same, since a write may wait for the file system's journal on a slow disk.
- **Lists** at 0.25 of the CPU are missed: the tables below have them. A profile by the kernel's clock of the build that copied (list of 500 x 4 kB,
  1.9 ms, two writes of 1 MB): 30 % writing to the socket, half of that the kernel's copy; 22 % copying into blocks; 19 % finding pages and
  walking the index; the rest spread thinly. The first part alone is 0.12 to 0.16 of what Go needs for everything. Done: blocks have the headers of
  their frames in them (two parts of a write for 16 kB before, one for 128 kB now), are written while the answer is made where its length is
  known, and the cursor tries the leaf that it stands on and the next one (3.3 us became 1.2 to 2.4 for keys written one after the other). Against the
  build of before, with the two programs by turns: 0.84 to 0.98 of the CPU at the least in six comparisons, where the samples
  of one profile are 0.91; over TLS 0.68 in one comparison and 1.19 in another. This machine's noise is as large as that.
- **Sending by reference**: values of 4 kB in pages, 1,100 parts for 2 MB, in a program of its own took 475 us against 589 (a copy to blocks written one by
  one) and 790 (as it was). In the server it did not show: 1,924 us and 1,996 with copies for a list of 500, 31.4 and 31.4 ms for a stream of 10,000 (medians 2,568
  and 2,311, 42.5 and 36.2). The kernel's copy meets the cold memory instead, and the parts are garbage. So memory is referred to from
  16 kB on, and what a client does not take within a second is copied. Above that size it has not been measured.
- **A list of 10,000** is found first and copied as it is sent, so that 40 MB are not written to memory and read again: 0.78 of the CPU (at the least of four
  rounds, by reference then).
- **TLS** of Node's copies a write of several parts to memory of its own. Large blocks are given to it one at a time.
- **Throughput of lists** is bound by the generator, which has one of the two processors to itself (2.1 to 3 ms a list). Clients reserve the memory of an answer as
  announced, up to 16 MB, instead of growing it by copies.
- **\`k8s-mixed\`**: 40,000 events a second, each turn with updates in it a write to each of 50 connections. 35 % of the CPU are those
  writes, nearly all of it the kernel's; copying events is 3 %, matching and encoding 2 %. Fewer writes can only be had by
  letting events wait.
- **Sockets are read into memory of their own each time.** Node offers a fixed buffer for connections that are made, not for those that are accepted;
  and requests that wait to be applied are views of what was read, so that such a buffer would cost a copy. Left as it is: this memory dies young.
- **Copies of a value of some kB on its way**: socket to proposal, proposal to the log's batch, request to the revision log, revision log to page. A fifth one,
  into the write transaction's arena, is gone: 21 % of a commit's CPU at 4 kB, 17 % at 300 bytes.
- **Events** are matched and encoded once for all watchers of equal wishes, the previous pair is looked up once for an event, and a connection is written
  once a turn: so it was already. Events and pairs are copied into the connection's block instead of being referred to: a reference would hold a slab of
  1 MiB for as long as a client takes to read.
- **Bytes written.** With 50 Puts of 4 kB in flight, 10.2 kB each: 4.4 of the log, 5.5 of leaves, three values to four pages (bbolt makes two to
  three, 6.2 kB). At 400 a second (\`k8s-written\`, third segment of the log, a file system of its own, load average 45) the kernel is handed 16.4 kB
  for each, 13.9 by Go 3.7, and the device writes 20.2 and 20.0 kB: what ours has more in zeros, Go's has in the file system's journal, with a fifth more
  flushes. Fewer is not to be had there without dearer syncs: without zeros the journal takes 12 kB a batch.
- **A start** takes 150 ms of CPU until the member is ready where it took 200 (medians of seven alternating starts of the build of before and this one, all
  threads, load average 13 to 18: 143 and 200, 154 and 187, 152 and 202; Go 3.7 takes 32). 27 ms are Node's own, until it comes to our first line. Half of what is
  gone was one flag: with \`--initial-old-space-size\` V8 refuses the code that Node brings for its own modules, as with most flags that are
  not about sizes of the heap's limits (\`v8.cachedDataVersionTag()\` tells which; a test asks). The rest: modules of Node that a start has no use for (HTTP,
  TLS, crypto, zlib), packages for what few flags ask for in files of their own, text without blanks (2.2 MB instead of 5). What is left: 18 ms V8 reads the
  program's code, 32 evaluating 620 modules, 10 other threads' compiling, 5 koffi, 10 Node's name service and cluster modules, which listening loads, 18 the
  questions of the warm-up. A snapshot of Node's (\`--build-snapshot\`) can't be made: HTTP's parser, TLS and threads can't be in it, and it ends the process that tries.
  \`tests/program/start-modules.json\` is what a start loads; a test compares.
- **Idle**, a member has 78 MB resident when its start is over, and 44 half a second later, 48 after three seconds, when what is still needed has come back (load
  average 19; a Node that does nothing has 42, Go 27). 45 of the 78 MB were pages of Node's own file (text, and what V8 and Node begin with), most of which only a start touches: they are unmapped when the member rests for
  the first time, stay in the system's cache, and those that are needed are mapped again sixteen at a time. 1 to 14 ms of CPU. 27 to 29 MB are of its own: 16 to 18 the
  heap of V8 (9 MB old objects, 3 the program's text, 3 compiled code, 3 to 5 young ones), 4 the C library's, 4 buffers. A full collection at once would
  free 6 of them for 15 ms of CPU and more; V8 makes it itself when it sees fit. Tried before: \`--optimize-for-size\`, \`--lite-mode\`,
  \`--max-lazy\` (V8 refuses all compiled code then), \`--min-semi-space-size\` of 1, 2 and 4 MB (nothing less, no CPU less), \`--v8-pool-size=1\`,
  \`--no-flush-bytecode\` (nothing to speak of). What is
  allocated in advance (2 MB for hashes of changes, 1 MB for the index, the log's buffers) is not resident before it is used.
- **Memory after a load.** After \`memory-1m\` a member had 333 MB (peak 333) beside the build of now with 162 (peak 217), at the same CPU for a put. What was resident, and what was done:
  - 109 MB of V8's heap, of which 10 to 18 were in use. A profile of what dies old (\`HeapProfiler.startSampling\` with the objects that full collections find, not those that
    scavenges find) named three: entries of the log in memory with their views (124 bytes a put), since 5,000 are kept for slow members and a scavenge comes every 5,000 puts, so that each lived
    through one. A member that is alone keeps 256 now, once the log does not begin at its first entry: nobody could be served from it. An empty list made at the end of every call (32 bytes), which V8, having seen it live long
    at first, put among the old objects from then on. Two lists for every write to a socket (180 bytes). The old objects are at 18 MB after a million puts where they were at 95, with one full collection
    instead of two, and scavenges take half as long (50 and 26 ms in 60,000 puts of 4 kB).
  - A heap that may grow by 300 % is bounded in bytes now: 40 MB more than what a collection leaves, whatever that is. Full collections are as many as before: one in 60,000 puts of 4 kB.
  - 54 MB in the C library's heap that nobody used, between blocks that somebody did: \`malloc_trim\`, when the process rests.
  - 30 MB outside the heap that only old garbage held, 16 MB of room for young objects: a full collection, when the process rests and 32 MB have come since the last time
    (30 to 50 ms of CPU, once after each load; one of the flavour that gives back all takes seven, and four seconds of clock at a load average of 45; V8 gives the room back by itself some ten seconds later). 30 MB of pages of Node's file, as above.
  - What stays: 29 MB revisions and keys, 18 the newest revisions (bound: 16), 17 pages of the database (an eighth of 128, for what was only written), 3 the tree and the table of keys, 2 hashes of changes,
    2 buffers of answers, 5 pooled pages and chunks. A key of 13 bytes with one revision takes some 95 bytes, each further revision 21 (12 for itself, the rest is
    room to grow), where Go takes 24 and doubles its slices.
- **A member that catches up.** What slowed puts down was the disk that all shared: with 40 MB a second for each, 128 MB missed, the rate meanwhile is 1.13 of that before, Go 3.7's 0.91 (one round each, load
  average 25). Sending is paced by the receiver, which syncs every 4 MiB and rests for as long as that took. With 1 GB missed it is 1.57, and the member is there after 104 seconds (one round, load average 40; both rates are what such a machine leaves a cluster: 2,200 and 3,500 a second). Before that, at 1 GB, something else showed: the log's
  sync of the member that catches up, behind what it writes of the database, took 9 seconds; its connections were let go after five, the leader kept nothing for it from then on, and the database came
  again, and a second time beside that. Entries are kept for it for 15 more seconds now, and one database is on its way at a time.
- **A connection that stays.** V8 throws away optimized code that is about objects of which none is left. To keep the connection of the warm-up open was thought to save
  a tenth of the CPU of a server that has been without clients for half a minute. That did not show: 24.3 us for a
  compare-and-put with it, 21.9 us without, after half a minute without clients (four rounds of 30,000 each), and 19.9 and 20.8 us under load all the time (six rounds of
  40,000 each; load average 13 to 17). Nothing was changed.

## The layout of the packages, before and after

The sources were moved into packages and rooms, and the table of RPCs made, without making anything slower: the build of before took the place of the
other program, quiet machine, two rounds
(\`--against <build of before> --cases 'put-100x10,range-linearizable-100x10,txn-100x10,watch-200,k8s-update,range-10k,cluster-put-leader'\`).

| work                     | CPU now   | CPU before | ratio | spread |
| ------------------------ | --------- | ---------- | ----- | ------ |
| put-100x10               | 10.7 us   | 11.4 us    | 0.94  | 15 %   |
| range-linearizable-100x10 | 2.70 us  | 2.50 us    | 1.08  | 7 %    |
| txn-100x10               | 17.9 us   | 18.4 us    | 0.97  | 32 %   |
| watch-200                | 0.72 us   | 0.78 us    | 0.94  | 7 %    |
| k8s-update               | 47.5 us   | 49.0 us    | 0.97  | 22 %   |
| range-10k                | 433 MB/s  | 431 MB/s   | 1.00  | 12 %   |
| cluster-put-leader       | 28.1 us   | 32.5 us    | 0.86  | 20 %   |

## Goals

${tables((rows) => rows.filter((row) => row.isMet !== null))}
## Everything

${measured.map((one) => `- \`${one.name}\`: ${one.about}`).join('\n')}

${tables((rows) => rows)}`;
writeFileSync(new URL('../docs/benchmarks.md', import.meta.url), text);

const BEGIN = '<!-- goals: begin (node bench/document.ts) -->\n';
const END = '<!-- goals: end -->';
const readme = new URL('../README.md', import.meta.url);
const before = readFileSync(readme, 'utf8');
const [begin, end] = [before.indexOf(BEGIN), before.indexOf(END)];
if (begin < 0 || end < begin) throw new Error('README.md has no place for the goals');
writeFileSync(
  readme,
  `${before.slice(0, begin + BEGIN.length)}\n${goalsTable(reports)}\n${before.slice(end)}`,
);
