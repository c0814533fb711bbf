/** Lets a listener hear what passes through a call. For calls that are looked at, which cost more. */
import type { Method, MethodKind } from '@etcd/api';
import type { ServerCall } from '@etcd/transport';
import type { MessageListener } from './proxy-server.ts';

/** What a unary call or a stream is answered with, if it goes through `respond` and `write`. */
export function tapAnswers(
  call: ServerCall,
  method: Method<MethodKind, object, object>,
  listener: MessageListener,
): void {
  const respond = call.respond.bind(call);
  const write = call.write.bind(call);
  call.respond = (bytes, start = 0, end = bytes.length) => {
    listener(method, call, 'response', bytes, start, end);
    respond(bytes, start, end);
  };
  call.write = (bytes, start = 0, end = bytes.length) => {
    listener(method, call, 'response', bytes, start, end);
    return write(bytes, start, end);
  };
}

/** What comes from the client of a call whose receiver is set. */
export function tapRequests(
  call: ServerCall,
  method: Method<MethodKind, object, object>,
  listener: MessageListener,
): void {
  const inner = call.receiver;
  if (inner === null) return;
  call.receiver = {
    onMessage: (of, bytes, start, end) => {
      listener(method, call, 'request', bytes, start, end);
      inner.onMessage?.(of, bytes, start, end);
    },
    onHalfClose: (of) => inner.onHalfClose?.(of),
    onWritable: (of) => inner.onWritable?.(of),
    onCancel: (of) => inner.onCancel?.(of),
  };
}
