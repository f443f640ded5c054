"""A Kubernetes API server with nodes, and pods that come and go."""

import http.client
import json
import queue
import random
import ssl
import subprocess
import threading
import time

from .. import places
from ..process import Background, eventually, free_port, tool

CONNECTIONS = 8


def programs():
    """The folder of etcd and kube-apiserver, which are built if they are not there."""
    script = places.REPOSITORY / "tests" / "cluster" / "build.sh"
    done = subprocess.run([script], capture_output=True, text=True)
    if done.returncode != 0:
        raise places.Missing(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip()


class ApiServer:
    """etcd and kube-apiserver on loopback; anybody with the token may do everything."""

    TOKEN = "soak"

    def __init__(self, folder):
        self.folder = folder
        self.programs = programs()
        self.port, self.etcd_port = free_port("tcp"), free_port("tcp")
        self.processes = []
        (folder / "users.csv").write_text(f"{self.TOKEN},admin,admin,system:masters\n")
        key = [
            "openssl",
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            folder / "accounts.key",
        ]
        subprocess.run(key, check=True, stderr=subprocess.DEVNULL)
        self.start()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(self._kubeconfig()))

    def _kubeconfig(self):
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self.folder / "certificates" / "apiserver.crt"),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "soak",
            "contexts": [{"name": "soak", "context": {"cluster": "soak", "user": "admin"}}],
            "clusters": [{"name": "soak", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self.TOKEN}}],
        }

    def start(self):
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port('tcp')}"
        etcd = f"--data-dir {self.folder}/etcd --unsafe-no-fsync --listen-client-urls {client}"
        etcd += f" --advertise-client-urls {client} --listen-peer-urls {peer}"
        etcd += f" --initial-advertise-peer-urls {peer} --initial-cluster default={peer}"
        api = f"--etcd-servers={client} --secure-port={self.port} --bind-address=127.0.0.1"
        api += f" --advertise-address=127.0.0.1 --cert-dir={self.folder}/certificates"
        api += f" --token-auth-file={self.folder}/users.csv --authorization-mode=RBAC"
        api += " --disable-admission-plugins=ServiceAccount --service-account-issuer=https://soak"
        api += f" --service-account-key-file={self.folder}/accounts.key"
        api += f" --service-account-signing-key-file={self.folder}/accounts.key"
        api += " --service-cluster-ip-range=10.96.0.0/16 --endpoint-reconciler-type=none"
        api += " --profiling=false"
        for program, arguments in (("etcd", etcd), ("kube-apiserver", api)):
            with open(self.folder / f"{program}.log", "ab") as log:
                command = [f"{self.programs}/{program}", *arguments.split()]
                self.processes.append(Background(command, stderr=log))
        eventually(self._is_ready, 120, "the API server is ready", interval=0.2)

    def _is_ready(self):
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def kill(self):
        """Kills both; `start` starts them again with their data."""
        while self.processes:
            self.processes.pop().kill()

    def connect(self):
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)

    def request(self, method, path, body=None, connection=None):
        own = connection is None
        connection = connection or self.connect()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {self.TOKEN}", "Content-Type": kind}
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, headers
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            if own:
                connection.close()


class Pods:
    """The pods of an inventory, written to an API server; `churn` replaces them."""

    NAMESPACE = "default"

    def __init__(self, api, cluster):
        inventory = tool("inventory", *cluster.split())
        self.api, self.pods = api, inventory["pods"]
        self.generations = [0] * len(self.pods)
        self.replaced = 0
        self.failed = 0
        self._stop = threading.Event()
        self._threads = []
        self._each(inventory["nodes"], self._create_node)
        self._each(range(len(self.pods)), self._create_pod)

    def _each(self, items, write):
        todo = queue.SimpleQueue()
        for item in items:
            todo.put(item)

        def work():
            connection = self.api.connect()
            while True:
                try:
                    write(todo.get_nowait(), connection)
                except queue.Empty:
                    return connection.close()

        threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _create_node(self, node, connection):
        labels = {
            "topology.kubernetes.io/zone": node["zone"],
            "topology.kubernetes.io/region": node["region"],
        }
        spec = {"podCIDRs": node["podCIDRs"], "podCIDR": node["podCIDRs"][0]}
        body = {"metadata": {"name": node["name"], "labels": labels}, "spec": spec}
        self._request(
            "POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node"} | body, connection
        )
        addresses = [{"type": "InternalIP", "address": address} for address in node["addresses"]]
        path = f"/api/v1/nodes/{node['name']}/status"
        self._request("PATCH", path, {"status": {"addresses": addresses}}, connection)

    def _name(self, number):
        return f"{self.pods[number]['name']}-{self.generations[number]}"

    def _path(self, name=""):
        return f"/api/v1/namespaces/{self.NAMESPACE}/pods" + (f"/{name}" if name else "")

    def _create_pod(self, number, connection):
        pod, name = self.pods[number], self._name(number)
        owner = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": pod["workload"]["name"],
            "uid": f"00000000-0000-4000-8000-{number:012}",
            "controller": True,
        }
        container = {"name": "main", "image": "none"}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": {
                "nodeName": pod["node"],
                "containers": [container],
                "terminationGracePeriodSeconds": 0,
            },
        }
        self._request("POST", self._path(), body, connection)
        addresses = [{"ip": address} for address in pod["addresses"]]
        status = {"phase": "Running", "podIP": addresses[0]["ip"], "podIPs": addresses}
        self._request("PATCH", self._path(name) + "/status", {"status": status}, connection)

    def _request(self, method, path, body, connection):
        status, answer = self.api.request(method, path, body, connection)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]}")

    def churn(self, rate):
        """Replaces pods from now on: another one gets the address of a deleted one."""
        thread = threading.Thread(target=self._churn, args=(rate,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _churn(self, rate):
        random_ = random.Random(1)
        connection = self.api.connect()
        while not self._stop.wait(1 / rate):
            number = random_.randrange(len(self.pods))
            try:
                path = self._path(self._name(number))
                self._request("DELETE", path, {"gracePeriodSeconds": 0}, connection)
                self.generations[number] += 1
                self._create_pod(number, connection)
                self.replaced += 1
            except (OSError, http.client.HTTPException, RuntimeError):
                # The server may be down, and a pod may be incomplete.
                self.failed += 1
                self.generations[number] += 1
                connection.close()
                time.sleep(0.2)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
