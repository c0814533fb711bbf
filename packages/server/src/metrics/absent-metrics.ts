/** Metrics of etcd that a member does not have, and why. */

const LOOP =
  'There is no such loop: events are written into the connection as they happen, and measuring each write would cost as much.';
const ALLOCATOR = "A part of Go's allocator.";
const COLLECTOR = "A setting of Go's collector; ETCD_NODE_OPTIONS has those of V8's.";
const COUNTED = 'V8 does not count what it allocates and frees.';
const PROXY = 'Of the client inside a proxy; a member has none.';

/** By name; one that ends with `*` stands for all that begin so. */
export const ABSENT_METRICS: Readonly<Record<string, string>> = {
  etcd_debugging_server_watch_send_loop_control_stream_duration_seconds: LOOP,
  etcd_debugging_server_watch_send_loop_progress_duration_seconds: LOOP,
  etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds: LOOP,
  etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds: LOOP,
  go_gc_gogc_percent: COLLECTOR,
  go_gc_gomemlimit_bytes: COLLECTOR,
  go_memstats_alloc_bytes_total: COUNTED,
  go_memstats_buck_hash_sys_bytes: ALLOCATOR,
  go_memstats_frees_total: COUNTED,
  go_memstats_gc_sys_bytes: ALLOCATOR,
  go_memstats_heap_objects:
    'Counting them takes a walk of the heap; nodejs_heap_size_used_bytes has their bytes.',
  go_memstats_heap_released_bytes: 'V8 does not tell what it has given back.',
  go_memstats_mallocs_total: COUNTED,
  go_memstats_mcache_inuse_bytes: ALLOCATOR,
  go_memstats_mcache_sys_bytes: ALLOCATOR,
  go_memstats_mspan_inuse_bytes: ALLOCATOR,
  go_memstats_mspan_sys_bytes: ALLOCATOR,
  go_memstats_next_gc_bytes:
    'V8 has no such target: it collects young and old objects by rules of their own.',
  go_memstats_other_sys_bytes: ALLOCATOR,
  go_memstats_stack_inuse_bytes: 'Stacks are not part of the heap here.',
  go_memstats_stack_sys_bytes: 'Stacks are not part of the heap here.',
  'grpc_client_*': PROXY,
  etcd_debugging_mvcc_range_total: 'Gone since etcd 3.6; etcd_mvcc_range_total counts the same.',
};
