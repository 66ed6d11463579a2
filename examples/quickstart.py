"""What a program does with a daemon that runs at var/run."""

import holdfast

with holdfast.connect("var/run", source="quickstart") as hub:
    hub.sessions.put("s1", {"user": "ana"}, ttl=3600)
    hub.events.emit("tool:call", {"command": "ls"}, session="s1", key="s1.1")
    hub.events.emit("tool:result", {"files": 2}, session="s1", key="s1.2", cause="s1.1")
    hub.checkpoints.put("planner", {"step": 7})
    hub.flush("committed")  # from here on the events survive SIGKILL of every process
    for event in hub.events.query(types="tool:*", session="s1"):
        print(event.seq, event.type, event.data)
