"""A client that is not written in Rust: stubs from proto/, Track, Recommend and Features.Get."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TWOFOLD = os.path.abspath(os.environ.get("TWOFOLD", ROOT / "target/release/twofold"))


def stubs(directory):
    from grpc_tools import protoc

    files = [str(path) for path in sorted((ROOT / "proto").rglob("*.proto"))]
    arguments = ["", f"-I{ROOT / 'proto'}", f"--python_out={directory}", f"--grpc_python_out={directory}"]
    assert protoc.main(arguments + files) == 0
    sys.path.insert(0, str(directory))


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.data = pathlib.Path(self.directory.name, "data")

    def run_twofold(self, *arguments):
        command = [TWOFOLD, "--data", str(self.data), "--json", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    def sessions(self):
        path = pathlib.Path(self.directory.name, "train.txt")
        lines = ["SessionId\tItemId\tTime"]
        for session in range(60):
            for step in range(4):
                lines.append(f"s{session}\titem-{(session + step) % 12}\t{1396300000 + session * 1000 + step * 30}")
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def reflects(self, channel):
        """grpcio-reflection asks by `grpc.reflection.v1alpha`."""
        from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        self.assertLessEqual({"twofold.v1.Recommender", "twofold.v1.Tracker", "twofold.v1.Features"}, services)
        self.assertIn("grpc.reflection.v1.ServerReflection", services)
        file = database.FindFileContainingSymbol("twofold.v1.Recommender")
        self.assertEqual(file.package, "twofold.v1")

    def test_track_then_recommend(self):
        import grpc

        generated = pathlib.Path(self.directory.name, "stubs")
        generated.mkdir()
        stubs(generated)
        from twofold.v1 import recommend_pb2 as pb
        from twofold.v1 import recommend_pb2_grpc as rpc

        self.run_twofold("import", "yoochoose", self.sessions())
        self.run_twofold("archive")
        self.run_twofold("backfill")
        command = [TWOFOLD, "--data", str(self.data), "up", "--listen", "127.0.0.1:0"]
        service = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.addCleanup(service.stdout.close)
        self.addCleanup(service.wait)
        self.addCleanup(service.terminate)
        address = json.loads(service.stdout.readline())["listening"]
        with grpc.insecure_channel(address) as channel:
            self.reflects(channel)
            now = int(time.time() * 1_000_000)
            event = {"event_id": "python-1", "event_time": now, "visitor_id": "ada", "kind": "view", "item_id": "item-3"}
            wrong = {**event, "event_id": "python-2", "event_time": "yesterday"}
            events = [pb.Event(source="clickstream", payload=json.dumps(e).encode()) for e in (event, wrong)]
            ok, refused = rpc.TrackerStub(channel).Track(pb.TrackRequest(events=events)).statuses
            self.assertEqual(ok.code, pb.TrackStatus.CODE_OK)
            self.assertEqual(refused.code, pb.TrackStatus.CODE_INVALID)
            self.assertIn("event_time", refused.detail)

            features = rpc.FeaturesStub(channel)
            for _ in range(100):
                got = features.Get(
                    pb.GetFeaturesRequest(entity="visitor", keys=["ada"], min_positions=[ok.position])
                )
                if not got.stale:
                    break
                time.sleep(0.05)
            self.assertFalse(got.stale)
            self.assertEqual(got.entities[0].values["user_activity.views_30m"].int_value, 1)

            answer = rpc.RecommenderStub(channel).Recommend(
                pb.RecommendRequest(surface="home", visitor_id="ada", k=5, min_positions=[ok.position])
            )
            items = [item.item_id for item in answer.items]
            self.assertEqual(len(items), 5)
            self.assertEqual(len(set(items)), 5)
            self.assertTrue({"item-4", "item-5", "item-2"} & set(items), items)
            self.assertNotIn("item-3", items, "what she has seen is left out")
            with self.assertRaises(grpc.RpcError) as raised:
                rpc.RecommenderStub(channel).Recommend(pb.RecommendRequest(surface="home", k=5000))
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)


if __name__ == "__main__":
    unittest.main()
