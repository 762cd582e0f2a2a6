"""The same conversations over every way in: what is said over a real one is what the rules say in this process."""

from __future__ import annotations

import pytest
import zmq
from comparison import check_same
from harness import wait_dead
from line_inprocess import InProcessLine
from line_real import ClientLine, HttpLine, RealLine, TalkServer, ZmqLine
from shown import Record, note
from talks import talks

pytestmark = pytest.mark.timeout(60)


class Conversations:
    """All conversations over one way in."""

    @pytest.mark.parametrize("name", talks())
    def test_conversation(self, line: RealLine, played: InProcessLine, name: str, record_property: Record) -> None:
        conversation = talks()[name]
        for each in (played, line):
            each.reset()
            conversation(each)
        check_same(line.turns, played.turns, (line.folder, played.folder), is_http=isinstance(line, HttpLine))
        note(record_property, line.way, line.turns)

    def test_what_is_no_request(self, line: RealLine) -> None:
        replies = line.malformed()
        assert replies
        for status, reply in replies:
            assert status == (422 if isinstance(line, HttpLine) else 200)
            assert reply.keys() in ({"success", "msg"}, {"detail", "error"}), reply
            assert reply.get("success", False) is False
        assert line.peek("status")["manager_state"] == "idle"

    def test_the_end(self, line: RealLine, played: InProcessLine, record_property: Record) -> None:
        server = line.server
        processes = (server.worker, server.manager, server.watchdog)
        for each in (played, line):
            each.reset()
            each.ok("manager_stop")
        assert line.turns[0].reply == played.turns[0].reply
        assert len(played.ended) == 1
        for pid in processes:
            wait_dead(pid)
        note(record_property, line.way, line.turns)


class TestJson(Conversations):
    """0MQ with JSON, as existing clients talk by default."""

    @staticmethod
    def make_server() -> TalkServer:
        return TalkServer()

    @staticmethod
    def make_line(server: TalkServer) -> RealLine:
        return ZmqLine(server)


class TestMsgpackEncrypted(Conversations):
    """0MQ with msgpack and CurveZMQ."""

    keys = zmq.curve_keypair()

    @classmethod
    def make_server(cls) -> TalkServer:
        return TalkServer("--zmq-encoding", "msgpack", private_key=cls.keys[1].decode())

    @classmethod
    def make_line(cls, server: TalkServer) -> RealLine:
        return ZmqLine(server, "msgpack", cls.keys[0])


class TestHttp(Conversations):
    """The REST interface of a Jupyter server."""

    @staticmethod
    def make_server() -> TalkServer:
        return TalkServer()

    @staticmethod
    def make_line(server: TalkServer) -> RealLine:
        return HttpLine(server, server.serve_http())


@pytest.mark.long
class TestPythonClient(Conversations):
    """The Python client of this package."""

    @staticmethod
    def make_server() -> TalkServer:
        return TalkServer()

    @staticmethod
    def make_line(server: TalkServer) -> RealLine:
        return ClientLine(server)
