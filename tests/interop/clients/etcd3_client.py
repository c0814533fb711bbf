"""python-etcd3, a client on gRPC that others have made: prints what it got, one line a step."""
import sys
import threading
import etcd3

host, port = sys.argv[1].split(":")
client = etcd3.client(host=host, port=int(port), timeout=30)

client.put("py3/a", "1")
print("get", client.get("py3/a")[0], client.get("py3/none")[0])
print("prefix", sorted(value for value, _ in client.get_prefix("py3/")))
print("if not exists", client.put_if_not_exists("py3/a", "x"), client.put_if_not_exists("py3/b", "y"))
print("replace", client.replace("py3/a", "1", "2"), client.replace("py3/a", "1", "3"))
print("range", [value for value, _ in client.get_range("py3/a", "py3/c", sort_order="descend", sort_target="key")])
transaction = client.transactions
print("txn", client.transaction(
    compare=[transaction.value("py3/a") == "2", transaction.version("py3/a") > 0],
    success=[transaction.put("py3/c", "3"), transaction.get("py3/b")],
    failure=[transaction.delete("py3/a")],
)[0])
lease = client.lease(100)
client.put("py3/leased", "x", lease=lease)
print("lease", lease.granted_ttl, lease.remaining_ttl > 90, list(lease.keys), [kept.TTL for kept in lease.refresh()])
lease.revoke()
print("revoked", client.get("py3/leased")[0])
with client.lock("py3-lock", ttl=20) as lock:
    print("lock", lock.is_acquired())
events, cancel = client.watch_prefix("py3/watched")
threading.Timer(0, lambda: client.put("py3/watched", "1")).start()
event = next(events)
print("event", type(event).__name__, event.key, event.value)
cancel()
print("delete", client.delete("py3/a"), client.delete_prefix("py3/").deleted)
status = client.status()
print("status", status.leader.name, status.db_size > 0, [member.name for member in client.members])
client.compact(2)
print("alarms", list(client.list_alarms()), client.hash() > 0)
try:
    client.put("", "x")
except Exception as error:
    print("error", type(error).__name__, error.code().name, error.details())
