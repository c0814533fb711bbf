/** The format `table`: boxes, heads in the middle, cells to the right. */

import { drawTable, type Terminal } from '@etcd/host/cli';
import { type Printer, unsupported } from './printer.ts';
import { hashRows, healthRows, memberRows, statusRows } from './rows.ts';

const no = unsupported('table');

export const tablePrinter = (terminal: Terminal): Printer => ({
  del: no,
  get: no,
  put: no,
  txn: no,
  watch: no,
  leaseGrant: no,
  leaseRevoke: no,
  leaseKeepAlive: no,
  leaseTimeToLive: no,
  leaseList: no,
  memberAdd: no,
  memberRemove: no,
  memberUpdate: no,
  memberPromote: no,
  memberList: ({ response }) => drawTable(memberRows(response), terminal),
  endpointHealth: (list) => drawTable(healthRows(list), terminal),
  endpointStatus: (list) => drawTable(statusRows(list), terminal),
  endpointHash: (list) => drawTable(hashRows(list), terminal),
  moveLeader: no,
  downgrade: no,
  alarm: no,
  roleAdd: no,
  roleGet: no,
  roleDelete: no,
  roleList: no,
  roleGrantPermission: no,
  roleRevokePermission: no,
  userAdd: no,
  userGet: no,
  userList: no,
  userChangePassword: no,
  userGrantRole: no,
  userRevokeRole: no,
  userDelete: no,
  authStatus: no,
});
