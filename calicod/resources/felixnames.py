"""Fields of FelixConfiguration that Calico knows and that cannot change a verdict of calicod's.

Law: a name only; a field that could change a verdict stands in `felix.py`.
"""

INERT = tuple(
    """
    awsSrcDstCheck bpfAttachType bpfConnectTimeLoadBalancing bpfConnectTimeLoadBalancingEnabled
    bpfConntrackLogLevel bpfConntrackMode bpfConntrackTimeouts bpfCTLBLogFilter bpfDataIfacePattern
    bpfDisableGROForIfaces bpfDisableUnprivileged bpfDSROptoutCIDRs bpfEnabled bpfEnforceRPF
    bpfExcludeCIDRsFromNAT bpfExportBufferSizeMB bpfExternalServiceMode bpfExtToServiceConnmark
    bpfForceTrackPacketsFromIfaces bpfHostConntrackBypass bpfHostNetworkedNATWithoutCTLB bpfJITHardening
    bpfKubeProxyEndpointSlicesEnabled bpfKubeProxyHealthzPort bpfKubeProxyIptablesCleanupEnabled
    bpfKubeProxyMinSyncPeriod bpfL3IfacePattern bpfLogFilters bpfLogLevel bpfMaglevMaxEndpointsPerService
    bpfMaglevMaxServices bpfMapSizeConntrack bpfMapSizeConntrackCleanupQueue bpfMapSizeConntrackScaling
    bpfMapSizeIfState bpfMapSizeIPSets bpfMapSizeNATAffinity bpfMapSizeNATBackend bpfMapSizeNATFrontend
    bpfMapSizePerCpuConntrack bpfMapSizeRoute bpfPolicyDebugEnabled bpfProfiling bpfPSNATPorts bpfRedirectToPeer
    cgroupV2Path dataplaneDriver dataplaneWatchdogTimeout debugDisableLogDropping debugHost
    debugMemoryProfilePath debugPort debugSimulateCalcGraphHangAfter debugSimulateDataplaneApplyDelay
    debugSimulateDataplaneHangAfter deviceRouteProtocol deviceRouteSourceAddress deviceRouteSourceAddressIPv6
    endpointReportingDelay endpointReportingEnabled endpointStatusPathPrefix featureDetectOverride featureGates
    genericXDPEnabled goGCThreshold goMaxProcs goMemoryLimitMB healthHost healthTimeoutOverrides
    interfaceRefreshInterval ipForwarding ipipMTU ipsetsRefreshInterval iptablesBackend iptablesLockFilePath
    iptablesLockProbeInterval iptablesLockTimeout iptablesMarkMask iptablesNATOutgoingInterfaceFilter
    iptablesPostWriteCheckInterval iptablesRefreshInterval ipv4ElevatedRoutePriority ipv4NormalRoutePriority
    ipv6ElevatedRoutePriority ipv6NormalRoutePriority istioAmbientMode istioDSCPMark
    liveMigrationRouteConvergenceTime localSubnetL2Reachability logDebugFilenameRegex logFilePath
    logSeverityFile logSeverityScreen logSeveritySys maxIpsetSize mtuIfacePattern natOutgoingAddress
    natOutgoingExclusions natPortRange netlinkTimeout nfNetlinkBufSize nftablesMarkMask nftablesMode
    nftablesRefreshInterval openstackRegion programClusterRoutes prometheusGoMetricsEnabled
    prometheusMetricsCAFile prometheusMetricsCertFile prometheusMetricsClientAuth prometheusMetricsKeyFile
    prometheusProcessMetricsEnabled prometheusWireGuardMetricsEnabled removeExternalRoutes reportingInterval
    reportingTTL requireMTUFile routeRefreshInterval routeSource routeSyncDisabled routeTableRange
    routeTableRanges sidecarAccelerationEnabled usageReportingEnabled usageReportingInitialDelay
    usageReportingInterval useInternalDataplaneDriver vxlanMTU vxlanMTUV6 vxlanVNI windowsManageFirewallRules
    wireguardHostEncryptionEnabled wireguardInterfaceName wireguardInterfaceNameV6 wireguardKeepAlive
    wireguardMTU wireguardMTUV6 wireguardRoutingRulePriority wireguardThreadingEnabled xdpEnabled
    xdpRefreshInterval
    """.split()  # noqa: SIM905  # a list of words reads best as words
)
