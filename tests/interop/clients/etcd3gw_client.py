"""A client of the JSON gateway that others have made: prints what it got, one line a step."""
import json
import sys
import threading
from etcd3gw import Etcd3Client, exceptions

host, port = sys.argv[1].split(":")
client = Etcd3Client(host=host, port=int(port), api_path="/v3/", timeout=30)

print("put", client.put("gw/a", "1"), client.put("gw/b", b"\x00\xff"))
print("get", client.get("gw/a"), client.get("gw/b"), client.get("gw/none"))
print("metadata", [(pair[0], pair[1]["key"]) for pair in client.get_prefix("gw/")])
print("sorted", [pair[1]["key"] for pair in client.get("gw/", metadata=True, range_end="gw0", sort_order="descend", sort_target="key")])
print("create", client.create("gw/c", "new"), client.create("gw/c", "again"))
print("replace", client.replace("gw/a", "1", "2"), client.replace("gw/a", "1", "3"), client.get("gw/a"))
print("delete", client.delete("gw/b"), client.delete("gw/b"), client.delete_prefix("gw/"))
print("version", len(client.members()), "dbSize" in client.status())

lease = client.lease(ttl=100)
client.put("gw/leased", "x", lease=lease)
print("lease", lease.ttl() > 90, lease.keys(), lease.refresh())
print("revoke", lease.revoke(), client.get("gw/leased"))

with client.lock("job", ttl=50) as lock:
    other = client.lock("job", ttl=50)
    print("lock", lock.is_acquired(), other.acquire())
print("released", client.lock("job", ttl=50).acquire())

# The watch begins in the past, so that nothing depends on who is first.
start = int(client.post(client.get_url("/kv/range"), json={"key": "eA=="})["header"]["revision"]) + 1
client.put("gw/watched", "1")
event = client.watch_once("gw/watched", timeout=30, start_revision=start)
print("event", event["kv"]["key"], event["kv"]["value"])
events, cancel = client.watch_prefix("gw/watch", start_revision=start)
threading.Timer(0, lambda: client.put("gw/watched", "2")).start()
print("events", [next(events)["kv"]["value"] for _ in range(2)])
cancel()

try:
    client.post(client.get_url("/kv/put"), json={})
except exceptions.Etcd3Exception as error:
    print("error", type(error).__name__, json.loads(error.detail_text)["message"])
