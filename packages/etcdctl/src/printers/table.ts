/** The format `table`: boxes, heads in the middle, cells to the right. */

import { drawTable } from '@etcd/host/cli';
import { type Printer, unsupported } from './printer.ts';
import { hashRows, healthRows, memberRows, statusRows } from './rows.ts';

const no = unsupported('table');

export const TABLE_PRINTER: Printer = {
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
  memberList: ({ response }) => drawTable(memberRows(response)),
  endpointHealth: (list) => drawTable(healthRows(list)),
  endpointStatus: (list) => drawTable(statusRows(list)),
  endpointHash: (list) => drawTable(hashRows(list)),
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
};
