"""diaccess-agent: reads building sensors, keeps their readings on the local disk, and forwards them upstream.

     hardware                                                                upstream
        |                                                                       ^
    [link: source]--Sample-->[collector]--rows-->[ buffer ]--lane-->[forwarder]-[format]
    [link: source]--Sample-->  bounded            on disk               ^       [uplink]
                                                     settle <-----------+  only after PUBACK

Nothing flows backwards but acknowledgements: when the network is down, the left half cannot even find out.
"""

__version__ = "0.1.0"
