/* hip_names.h -- the numbers of HIP that the face speaks, written once: enums, texts and the check
 * against AMD's own header are all made from these lists. */
#ifndef CDNA_HIP_NAMES_H
#define CDNA_HIP_NAMES_H

/* ROW(name, number, text) */
#define HIP_STATUSES(ROW)                                                                          \
    ROW(hipSuccess, 0, "no error")                                                                 \
    ROW(hipErrorInvalidValue, 1, "invalid argument")                                               \
    ROW(hipErrorOutOfMemory, 2, "out of memory")                                                   \
    ROW(hipErrorNotInitialized, 3, "initialization error")                                         \
    ROW(hipErrorInvalidConfiguration, 9, "invalid configuration argument")                         \
    ROW(hipErrorInvalidSymbol, 13, "invalid device symbol")                                        \
    ROW(hipErrorInvalidDevicePointer, 17, "invalid device pointer")                                \
    ROW(hipErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")                   \
    ROW(hipErrorInsufficientDriver, 35, "driver version is insufficient for runtime version")      \
    ROW(hipErrorInvalidDeviceFunction, 98, "invalid device function")                              \
    ROW(hipErrorNoDevice, 100, "no ROCm-capable device is detected")                               \
    ROW(hipErrorInvalidDevice, 101, "invalid device ordinal")                                      \
    ROW(hipErrorInvalidImage, 200, "device kernel image is invalid")                               \
    ROW(hipErrorInvalidContext, 201, "invalid device context")                                     \
    ROW(hipErrorNoBinaryForGpu, 209, "no kernel image is available for execution on the device")   \
    ROW(hipErrorInvalidHandle, 400, "invalid resource handle")                                     \
    ROW(hipErrorIllegalState, 401, "the operation cannot be performed in the present state")       \
    ROW(hipErrorNotFound, 500, "named symbol not found")                                           \
    ROW(hipErrorNotReady, 600, "device not ready")                                                 \
    ROW(hipErrorIllegalAddress, 700, "an illegal memory access was encountered")                   \
    ROW(hipErrorLaunchOutOfResources, 701, "too many resources requested for launch")              \
    ROW(hipErrorContextIsDestroyed, 709, "context is destroyed")                                   \
    ROW(hipErrorLaunchFailure, 719, "unspecified launch failure")                                  \
    ROW(hipErrorNotSupported, 801, "operation not supported")                                      \
    ROW(hipErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing") \
    ROW(hipErrorStreamCaptureInvalidated, 901,                                                     \
        "operation failed due to a previous error during "                                         \
        "capture")                                                                                 \
    ROW(hipErrorStreamCaptureMerge, 902,                                                           \
        "operation would result in a merge of separate capture "                                   \
        "sequences")                                                                               \
    ROW(hipErrorStreamCaptureUnmatched, 903,                                                       \
        "capture was not ended in the same stream as it "                                          \
        "began")                                                                                   \
    ROW(hipErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work")                  \
    ROW(hipErrorStreamCaptureIsolation, 905,                                                       \
        "dependency created on uncaptured work in another "                                        \
        "stream")                                                                                  \
    ROW(hipErrorStreamCaptureImplicit, 906,                                                        \
        "operation would make the legacy stream depend on a "                                      \
        "capturing blocking stream")                                                               \
    ROW(hipErrorCapturedEvent, 907,                                                                \
        "operation not permitted on an event last recorded in a "                                  \
        "capturing stream")                                                                        \
    ROW(hipErrorStreamCaptureWrongThread, 908,                                                     \
        "attempt to terminate a thread-local capture "                                             \
        "sequence from another thread")                                                            \
    ROW(hipErrorUnknown, 999, "unknown error")

/* ROW(name, number, gfx90a, gfx942, gfx950) */
#define HIP_ATTRIBUTES(ROW)                                                    \
    ROW(hipDeviceAttributeClockRate, 5, 1700000, 2100000, 2400000) /* kHz */   \
    ROW(hipDeviceAttributeConcurrentKernels, 8, 1, 1, 1)                       \
    ROW(hipDeviceAttributeL2CacheSize, 19, 8388608, 4194304, 4194304)          \
    ROW(hipDeviceAttributeComputeCapabilityMajor, 23, 9, 9, 9)                 \
    ROW(hipDeviceAttributeMaxBlockDimX, 26, 1024, 1024, 1024)                  \
    ROW(hipDeviceAttributeMaxBlockDimY, 27, 1024, 1024, 1024)                  \
    ROW(hipDeviceAttributeMaxBlockDimZ, 28, 1024, 1024, 1024)                  \
    ROW(hipDeviceAttributeMaxGridDimX, 29, 2147483647, 2147483647, 2147483647) \
    ROW(hipDeviceAttributeMaxGridDimY, 30, 65536, 65536, 65536)                \
    ROW(hipDeviceAttributeMaxGridDimZ, 31, 65536, 65536, 65536)                \
    ROW(hipDeviceAttributeMaxThreadsPerBlock, 56, 1024, 1024, 1024)            \
    ROW(hipDeviceAttributeMaxThreadsPerMultiProcessor, 57, 2048, 2048, 2048)   \
    ROW(hipDeviceAttributeMemoryBusWidth, 59, 4096, 8192, 8192)                \
    ROW(hipDeviceAttributeMemoryClockRate, 60, 1600000, 1300000, 2000000)      \
    ROW(hipDeviceAttributeComputeCapabilityMinor, 61, 0, 4, 5)                 \
    ROW(hipDeviceAttributeMultiprocessorCount, 63, 104, 304, 256)              \
    ROW(hipDeviceAttributeMaxSharedMemoryPerBlock, 74, 65536, 65536, 163840)   \
    ROW(hipDeviceAttributeWarpSize, 87, 64, 64, 64)                            \
    ROW(hipDeviceAttributeMaxSharedMemoryPerMultiprocessor, 10002, 65536, 65536, 163840)

/* Unknown to the headers of HIP 5: dies of the chip. */
#define HIP_NEWER_ATTRIBUTES(ROW) ROW(hipDeviceAttributeNumberOfXccs, 10018, 1, 8, 8)

/* ROW(name, number) */
#define HIP_NUMBERS(ROW)                             \
    ROW(hipMemcpyHostToHost, 0)                      \
    ROW(hipMemcpyHostToDevice, 1)                    \
    ROW(hipMemcpyDeviceToHost, 2)                    \
    ROW(hipMemcpyDeviceToDevice, 3)                  \
    ROW(hipMemcpyDefault, 4)                         \
    ROW(hipStreamCaptureModeGlobal, 0)               \
    ROW(hipStreamCaptureModeThreadLocal, 1)          \
    ROW(hipStreamCaptureModeRelaxed, 2)              \
    ROW(hipStreamCaptureStatusNone, 0)               \
    ROW(hipStreamCaptureStatusActive, 1)             \
    ROW(hipStreamCaptureStatusInvalidated, 2)        \
    ROW(HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0) \
    ROW(HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, 1)     \
    ROW(HIP_FUNC_ATTRIBUTE_CONST_SIZE_BYTES, 2)      \
    ROW(HIP_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, 3)      \
    ROW(HIP_FUNC_ATTRIBUTE_NUM_REGS, 4)              \
    ROW(HIP_FUNC_ATTRIBUTE_PTX_VERSION, 5)           \
    ROW(HIP_FUNC_ATTRIBUTE_BINARY_VERSION, 6)        \
    ROW(HIP_FUNC_ATTRIBUTE_CACHE_MODE_CA, 7)         \
    ROW(HIP_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 8)

/* ROW(name, number): macros of AMD's header, which hide a constant of the same name. */
#define HIP_FLAGS(ROW)                      \
    ROW(hipStreamNonBlocking, 1)            \
    ROW(hipEventBlockingSync, 1)            \
    ROW(hipEventDisableTiming, 2)           \
    ROW(hipHostMallocPortable, 1)           \
    ROW(hipHostMallocMapped, 2)             \
    ROW(HIP_LAUNCH_PARAM_BUFFER_POINTER, 1) \
    ROW(HIP_LAUNCH_PARAM_BUFFER_SIZE, 2)    \
    ROW(HIP_LAUNCH_PARAM_END, 3)

#endif /* CDNA_HIP_NAMES_H */
