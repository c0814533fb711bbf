/** Every request and answer as a line of the log (`--experimental-enable-grpc-logging`), without passwords and tokens. */

import { messageToJson } from '@etcd/api/json';
import type { Logger } from '@etcd/base';
import type { MessageListener } from './proxy-server.ts';

/** S09: what must not be readable in a log, by the names of the fields. */
const SECRETS: readonly string[] = ['password', 'hashedPassword', 'token'];
const MASK = '***';

export function logMessages(logger: Logger): MessageListener {
  return (method, call, kind, bytes, start, end) => {
    const codec = kind === 'request' ? method.request : method.response;
    let content: string;
    try {
      content = messageToJson(codec.name, masked(codec.decode(bytes, start, end)));
    } catch (error) {
      content = `malformed: ${(error as Error).message}`;
    }
    const message =
      kind === 'request'
        ? 'received payload logged as grpc.request.content field'
        : 'returned response payload logged as grpc.response.content field';
    logger.info(message, {
      [`grpc.${kind}.content`]: content,
      'grpc.service': method.service,
      'grpc.method': method.name,
      'peer.address': call.info.remoteAddress,
    });
  };
}

function masked(message: object): object {
  const fields = message as Record<string, unknown>;
  for (const name of SECRETS)
    if (typeof fields[name] === 'string' && fields[name] !== '') fields[name] = MASK;
  return message;
}
